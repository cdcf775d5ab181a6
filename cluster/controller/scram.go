package controller

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/security"
	"github.com/klamm-io/klamm/security/sasl"
)

var errAlteredTwice = refuse(kerr.DuplicateResource, "A user credential cannot be altered twice in the same request")

// AlterUserSCRAMCredentials sets and removes passwords, of each user in the request one.
func (*Controller) AlterUserSCRAMCredentials(img *metadata.Image, req *kmsg.AlterUserSCRAMCredentialsRequest) (records []metadata.Record, _ *kmsg.AlterUserSCRAMCredentialsResponse) {
	outcomes := map[string]error{}
	decided := map[string]metadata.Record{}
	decide := func(user string, record metadata.Record, err error) {
		if _, again := outcomes[user]; again {
			err = errAlteredTwice
		}
		outcomes[user], decided[user] = err, record
	}
	for i := range req.Deletions {
		u := security.ScramUser{Name: req.Deletions[i].Name, Mechanism: security.ScramMechanism(req.Deletions[i].Mechanism)}
		decide(u.Name, &metadata.ScramCredentialRemoved{User: u}, checkRemoval(img, u))
	}
	for i := range req.Upsertions {
		c, err := credentialOf(&req.Upsertions[i])
		decide(req.Upsertions[i].Name, &metadata.ScramCredentialSet{Credential: c}, err)
	}
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	for _, user := range slices.Sorted(maps.Keys(outcomes)) {
		told := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		told.User = user
		if told.ErrorCode, told.ErrorMessage = answer(outcomes[user]); told.ErrorCode == 0 {
			records = append(records, decided[user])
		}
		resp.Results = append(resp.Results, told)
	}
	return records, resp
}

func checkRemoval(img *metadata.Image, u security.ScramUser) error {
	if err := checkScramUser(u); err != nil {
		return err
	}
	if _, found := img.ScramCredential(u); !found {
		return refuse(kerr.ResourceNotFound, "Attempt to delete a user credential that does not exist")
	}
	return nil
}

func checkScramUser(u security.ScramUser) error {
	switch {
	case u.Name == "":
		return refuse(kerr.UnacceptableCredential, "Username must not be empty")
	case u.Mechanism.String() == "":
		return refuse(kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
	}
	return nil
}

// credentialOf is what is kept of a password that comes salted, and with it of no use
// to who reads the metadata.
func credentialOf(u *kmsg.AlterUserSCRAMCredentialsRequestUpsertion) (security.ScramCredential, error) {
	user := security.ScramUser{Name: u.Name, Mechanism: security.ScramMechanism(u.Mechanism)}
	err := checkScramUser(user)
	switch {
	case err != nil:
		return security.ScramCredential{}, err
	case u.Iterations < security.LeastIterations:
		return security.ScramCredential{}, refuse(kerr.UnacceptableCredential, "Too few iterations")
	case u.Iterations > security.MostIterations:
		return security.ScramCredential{}, refuse(kerr.UnacceptableCredential, "Too many iterations")
	}
	return sasl.CredentialOf(user, u.Salt, u.SaltedPassword, u.Iterations), nil
}
