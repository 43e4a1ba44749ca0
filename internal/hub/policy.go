package hub

import (
	"fmt"
	"slices"
	"strings"
)

// Policy says what happens when a publisher comes for a key that has an owner.
type Policy string

// The policies.
const (
	Challenge Policy = "challenge" // the owner keeps the key if it completes a unit within the challenge's time
	Takeover  Policy = "takeover"  // the newcomer wins; viewers stay attached
	Reject    Policy = "reject"    // the owner stays
	Standby   Policy = "standby"   // the newcomer waits, and steps in when the owner stalls or goes
)

var policies = []Policy{Challenge, Takeover, Reject, Standby} //nolint:gochecknoglobals // a constant that Go cannot write

func (p Policy) validate() error {
	if !slices.Contains(policies, p) {
		return fmt.Errorf("%q is not one of challenge, takeover, reject, standby", p)
	}
	return nil
}

// policyFor returns the policy of a key: that of the longest pattern that fits, of equals the first by the alphabet, or the general
// one.
func (c *PublishConfig) policyFor(k Key) Policy {
	best, policy, found := "", c.OnConflict, false
	name := k.String()
	for pattern, p := range c.Conflicts {
		better := len(pattern) > len(best) || len(pattern) == len(best) && pattern < best
		if (better || !found) && Fits(pattern, name) {
			best, policy, found = pattern, p, true
		}
	}
	return policy
}

// Fits says whether the name fits a pattern, in which * stands for any characters, none and slashes included.
func Fits(pattern, name string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for {
		var part string
		if part, rest, wild = strings.Cut(rest, "*"); !wild {
			return strings.HasSuffix(name, part)
		}
		at := strings.Index(name, part) // the first place will do: what follows can only be easier there
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
}
