package controller

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
)

const (
	maxTopicName  = 249
	metadataTopic = "__cluster_metadata"
)

// ValidateTopicName refuses names that no topic may have, with
// INVALID_TOPIC_EXCEPTION.
func ValidateTopicName(name string) error {
	const invalid = "Topic name is invalid: "
	switch {
	case name == "":
		return refuse(kerr.InvalidTopicException, invalid+"the empty string is not allowed")
	case name == "." || name == "..":
		return refuse(kerr.InvalidTopicException, invalid+"'%s' is not allowed", name)
	case len(name) > maxTopicName:
		return refuse(kerr.InvalidTopicException, invalid+"the length of '%s' is longer than the max allowed length %d", name, maxTopicName)
	case strings.ContainsFunc(name, notInTopicName):
		return refuse(kerr.InvalidTopicException, invalid+"'%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
	}
	return nil
}

func notInTopicName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && r != '.' && r != '_' && r != '-'
}

// nameFree refuses the name of a new topic where it is taken, or where it would
// be in metrics, which turn '.' into '_'.
func nameFree(img *metadata.Image, name string) error {
	if _, exists := img.Topic(name); exists {
		return refuse(kerr.TopicAlreadyExists, "Topic '%s' already exists.", name)
	}
	if err := ValidateTopicName(name); err != nil {
		return err
	}
	if like, found := img.TopicLike(name); found {
		return refuse(kerr.InvalidTopicException, "Topic '%s' collides with existing topic: %s", name, like)
	}
	return nil
}
