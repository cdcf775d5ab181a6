package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/sasl"
)

func newUserCommand(env *environment) *cobra.Command {
	return parentCommand("user", "Add, change, list and delete users who authenticate by SCRAM",
		newUserListCommand(env),
		newUserPasswordCommand(env, "add", "Add a user, or a mechanism to one", `Add a user who authenticates by SCRAM, or a mechanism to one that there is. What the
cluster keeps of the password verifies it and does not log in.`, true),
		newUserPasswordCommand(env, "passwd", "Give a user another password", `Give a user another password, for each mechanism that it has or the one that is named.
Connections that stand go on until they have to authenticate again.`, false),
		newUserDeleteCommand(env),
	)
}

// addMechanismFlag adds the flag that names a mechanism of SCRAM.
func addMechanismFlag(cmd *cobra.Command, standard, meaning string) *string {
	names := []string{security.ScramSHA256.String(), security.ScramSHA512.String()}
	mechanism := cmd.Flags().String("mechanism", standard, meaning+", "+alternatives(names))
	must(cmd.RegisterFlagCompletionFunc("mechanism", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)))
	return mechanism
}

// mechanismNamed is the mechanism of that name, 0 for none.
func mechanismNamed(cmd *cobra.Command, name string) (kadm.ScramMechanism, error) {
	if name == "" {
		return 0, nil
	}
	m, known := sasl.ParseMechanism(name)
	if !known {
		return 0, badUsage(cmd, "--mechanism %s: it is SCRAM-SHA-256 or SCRAM-SHA-512", name)
	}
	return kadm.ScramMechanism(m), nil
}

// scramUser is a user as it is listed.
type scramUser struct {
	Name       string `json:"name"`
	Mechanism  string `json:"mechanism"`
	Iterations int32  `json:"iterations"`
}

func newUserListCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the users who authenticate by SCRAM", Args: arguments(0, 0),
		Example: "  klamm user list\n  klamm user list -o json",
	}
	output := addOutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			described, err := admin.DescribeUserSCRAMs(cmd.Context())
			if err != nil {
				return fmt.Errorf("list users: %w", err)
			}
			t, users := newTable("NAME", "MECHANISM", "ITERATIONS"), []scramUser{}
			for _, u := range described.Sorted() {
				for _, c := range u.CredInfos {
					users = append(users, scramUser{u.User, security.ScramMechanism(c.Mechanism).String(), c.Iterations})
					t.add(u.User, security.ScramMechanism(c.Mechanism).String(), c.Iterations)
				}
			}
			return env.show(*output, t, users)
		})
	}
	return cmd
}

// newUserPasswordCommand is `klamm user add` or `passwd`: the one of a mechanism that
// the user has not, the other of those that it has.
func newUserPasswordCommand(env *environment, use, short, long string, adds bool) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " NAME", Short: short, Long: long, Args: arguments(1, 1),
		Example: fmt.Sprintf("  klamm user %[1]s alice --new-password-file alice.txt\n  klamm user %[1]s alice --new-password-file - --mechanism SCRAM-SHA-512", use),
	}
	standard, meaning := "", "only for the mechanism"
	if adds {
		standard, meaning = security.ScramSHA256.String(), "by what it authenticates"
	}
	name := addMechanismFlag(cmd, standard, meaning)
	file := cmd.Flags().String("new-password-file", "", "the `file` that has the password in its first line, - for standard input")
	iterations := cmd.Flags().Int32("iterations", security.LeastIterations, fmt.Sprintf("how often it is hashed, %d to %d", security.LeastIterations, security.MostIterations))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		mechanism, err := mechanismNamed(cmd, *name)
		if err != nil {
			return err
		}
		if *file == "" {
			return badUsage(cmd, "name the file that has the new password with --new-password-file")
		}
		password, err := env.readPassword(*file)
		if err != nil {
			return err
		}
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			has, err := mechanismsOf(cmd.Context(), admin, args[0])
			if err != nil {
				return err
			}
			set, err := mechanismsToSet(args[0], has, mechanism, adds)
			if err != nil {
				return err
			}
			for _, m := range set {
				altered, err := admin.AlterUserSCRAMs(cmd.Context(), nil, []kadm.UpsertSCRAM{{User: args[0], Mechanism: m, Iterations: *iterations, Password: string(password)}})
				if err := alteration(altered, err); err != nil {
					return fmt.Errorf("set the password of %s: %w", args[0], err)
				}
				fmt.Fprintf(env.out, "user %s has a new password for %s\n", args[0], security.ScramMechanism(m))
			}
			return nil
		})
	}
	return cmd
}

// mechanismsToSet are those that a password is for.
func mechanismsToSet(user string, has []kadm.ScramMechanism, named kadm.ScramMechanism, adds bool) ([]kadm.ScramMechanism, error) {
	switch {
	case adds && slices.Contains(has, named):
		return nil, fmt.Errorf("user %s has a password for %s already. Change it with `klamm user passwd`", user, security.ScramMechanism(named))
	case adds:
		return []kadm.ScramMechanism{named}, nil
	case len(has) == 0:
		return nil, fmt.Errorf("there is no user %s. Add one with `klamm user add`", user)
	case named == 0:
		return has, nil
	case !slices.Contains(has, named):
		return nil, fmt.Errorf("user %s has no password for %s. Add one with `klamm user add`", user, security.ScramMechanism(named))
	}
	return []kadm.ScramMechanism{named}, nil
}

// mechanismsOf are those that a user has, none for one that there is not.
func mechanismsOf(ctx context.Context, admin *kadm.Client, user string) ([]kadm.ScramMechanism, error) {
	described, err := admin.DescribeUserSCRAMs(ctx, user)
	if err == nil {
		err = described.Error()
	}
	if errors.Is(err, kerr.ResourceNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for user %s: %w", user, err)
	}
	var all []kadm.ScramMechanism
	for _, c := range described[user].CredInfos {
		all = append(all, c.Mechanism)
	}
	return all, nil
}

func newUserDeleteCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a user, or one of its mechanisms", Args: arguments(1, 1),
		Example: "  klamm user delete alice\n  klamm user delete alice --mechanism SCRAM-SHA-256",
	}
	name := addMechanismFlag(cmd, "", "only what it has for the mechanism")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		mechanism, err := mechanismNamed(cmd, *name)
		if err != nil {
			return err
		}
		return env.withAdmin(cmd.Context(), func(admin *kadm.Client) error {
			has, err := mechanismsOf(cmd.Context(), admin, args[0])
			if err != nil {
				return err
			}
			if mechanism != 0 {
				has = slices.DeleteFunc(has, func(m kadm.ScramMechanism) bool { return m != mechanism })
			}
			if len(has) == 0 {
				return fmt.Errorf("there is no such user %s. See `klamm user list`", strings.TrimSpace(args[0]+" "+*name))
			}
			for _, m := range has {
				altered, err := admin.AlterUserSCRAMs(cmd.Context(), []kadm.DeleteSCRAM{{User: args[0], Mechanism: m}}, nil)
				if err := alteration(altered, err); err != nil {
					return fmt.Errorf("delete user %s: %w", args[0], err)
				}
				fmt.Fprintf(env.out, "user %s has no password for %s any more\n", args[0], security.ScramMechanism(m))
			}
			return nil
		})
	}
	return cmd
}

// alteration is why a password was not set or deleted, in the broker's words.
func alteration(altered kadm.AlteredUserSCRAMs, err error) error {
	if err != nil {
		return err
	}
	for _, a := range altered.Sorted() {
		if a.Err != nil && a.ErrMessage != "" {
			return fmt.Errorf("%s (%w)", a.ErrMessage, a.Err)
		}
		if a.Err != nil {
			return a.Err
		}
	}
	return nil
}
