package main

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestCausesOfHangingTransactions(t *testing.T) {
	open := kadm.DescribedProducer{Topic: "t", Partition: 1, ProducerID: 7}
	with := func(state string, partitions ...int32) kadm.DescribedTransaction {
		d := kadm.DescribedTransaction{TxnID: "x", State: state, ProducerID: 7, Topics: kadm.TopicsSet{}}
		d.Topics.Add("t", partitions...)
		return d
	}
	for _, c := range []struct {
		known kadm.DescribedTransaction
		want  string
	}{
		{kadm.DescribedTransaction{}, "no transactional id has this producer"},
		{with("Ongoing", 0, 1), ""},
		{with("PrepareCommit", 1), ""},
		{with("Ongoing", 0), "the transaction of x is without the partition"},
		{with("CompleteAbort"), "x has no transaction: it is CompleteAbort"},
		{with("PrepareCommit", 0), "x has no transaction: it is PrepareCommit"},
	} {
		if got := causeOf(open, c.known); got != c.want {
			t.Errorf("%s with %v: %q, want %q", c.known.State, c.known.Topics, got, c.want)
		}
	}
}
