package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newRootCommand is the whole tree of commands.
func newRootCommand(env *environment) *cobra.Command {
	root := parentCommand("klamm", "A Kafka-compatible broker, and the tool that drives it")
	root.Long = `Klamm is a Kafka-compatible broker in one binary, and the tool that drives it or
any other Kafka cluster.

  klamm serve                              start a broker on 127.0.0.1:9092
  klamm topic create flights -p 4          make a topic
  klamm produce flights flights.csv.gz     send it records
  klamm consume flights --exit-at-end      read them back`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(env.out)
	root.SetErr(env.errOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{cmd, err.Error() + nearFlags(cmd, err)}
	})
	addBrokersFlag(env, root)
	addClientFlag(env, root)
	addLoginFlags(env, root)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		env.options, err = env.clientOptions(cmd)
		return err
	}
	root.AddCommand(
		newServeCommand(env),
		newFormatCommand(env),
		newUUIDCommand(env),
		newClusterCommand(env),
		newBrokerCommand(env),
		newTopicCommand(env),
		newPartitionCommand(env),
		newProduceCommand(env),
		newConsumeCommand(env),
		newGroupCommand(env),
		newTxnCommand(env),
		newACLCommand(env),
		newUserCommand(env),
		newQuotaCommand(env),
		newAuditCommand(env),
		newQuorumCommand(env),
		newConfigCommand(env),
		newLogCommand(env),
		newTLSCommand(env),
		newVersionCommand(env),
	)
	return root
}

// otherNames are names that Kafka's scripts, rpk and kcat have for our flags.
var otherNames = map[string]string{
	"bootstrap-server": "brokers",
	"max-messages":     "count",
	"num":              "count",
	"offset":           "from",
}

// addBrokersFlag adds --brokers, and lets every flag go by its other names.
func addBrokersFlag(env *environment, root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringSliceVarP(&env.brokers, "brokers", "b", env.brokers,
		"brokers to ask first, host:port[,host:port…] (also --bootstrap-server, or KLAMM_BROKERS)")
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if ours, found := otherNames[name]; found {
			name = ours
		}
		return pflag.NormalizedName(name)
	})
}

// nearFlags names the flags that an unknown one may stand for.
func nearFlags(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	near := nearest(unknown.GetSpecifiedName(), names)
	if len(near) == 0 {
		return ""
	}
	return "; did you mean --" + strings.Join(near, " or --") + "?"
}

// parentCommand is a command that only holds others.
func parentCommand(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  subcommandNamed,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(children...)
	return cmd
}

// subcommandNamed refuses arguments of a command that only holds others: they
// are names of commands that do not exist.
func subcommandNamed(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := "there is no command " + strings.TrimSpace(cmd.CommandPath()+" "+args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{cmd, message}
}
