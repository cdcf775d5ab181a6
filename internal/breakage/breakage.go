// Package breakage names places at which Klamm can be broken on purpose, to see that
// the tests notice. Without the build tag "breakage" there is none of it in a binary;
// with it, the environment variable KLAMM_BREAKAGE chooses one. `make mutation` tries
// each (test/mutation).
package breakage

// Kind is one way to be broken.
type Kind string

// The kinds.
const (
	NoFlush        Kind = "no-flush"        // what is to be flushed is not
	EarlyAck       Kind = "early-ack"       // acks=all does not wait for the high watermark
	NoEpochFence   Kind = "no-epoch-fence"  // what is of another leader epoch is taken
	ForgottenAbort Kind = "forgotten-abort" // that a transaction was aborted is not written down
	HighWatermark  Kind = "hw-past-the-isr" // the high watermark waits for no follower
	UnverifiedCopy Kind = "unverified-copy" // a follower takes records without looking at their checksums
	NoTruncation   Kind = "no-truncation"   // a follower keeps what its leader does not have
	ForgottenVote  Kind = "forgotten-vote"  // a voter does not write down whom it voted for
	BelievedIndex  Kind = "believed-index"  // an index entry is followed without a look at where it leads
	UncheckedStart Kind = "unchecked-start" // the checksum of a checkpoint is not looked at
)
