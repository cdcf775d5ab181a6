// Command clients runs one Go client of Kafka through one scenario:
//
//	clients CLIENT VERB BOOTSTRAP TOPIC [name=value …]
//
// CLIENT is franz-go, sarama, kafka-go or kcat. The verbs, their options and the
// lines of JSON that they read and print are described in ../README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// job is the command line after CLIENT and VERB.
type job struct {
	bootstrap, topic string
	options          map[string]string
}

func (j job) text(name string) string { return j.options[name] }

func (j job) number(name string) int64 {
	n, _ := strconv.ParseInt(j.options[name], 10, 64)
	return n
}

type verb func(context.Context, job) error

var clients = map[string]map[string]verb{
	"franz-go": {"produce": franzProduce, "consume": franzConsume, "group": franzGroup, "copy": franzCopy, "admin": franzAdmin},
	"sarama":   {"produce": saramaProduce, "consume": saramaConsume, "group": saramaGroup, "admin": saramaAdmin},
	"kafka-go": {"produce": kafkagoProduce, "consume": kafkagoConsume, "group": kafkagoGroup},
	"kcat":     {"produce": kcatProduce, "consume": kcatConsume, "group": kcatGroup},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		emit(event{Event: "error", Message: err.Error()})
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 4 {
		return errors.New("usage: clients CLIENT VERB BOOTSTRAP TOPIC [name=value …]")
	}
	do := clients[args[0]][args[1]]
	if do == nil {
		return fmt.Errorf("%s cannot %s", args[0], args[1])
	}
	j := job{bootstrap: args[2], topic: args[3], options: map[string]string{}}
	for _, option := range args[4:] {
		name, value, _ := strings.Cut(option, "=")
		j.options[name] = value
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return do(ctx, j)
}
