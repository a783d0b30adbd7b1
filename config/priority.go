package config

import "errors"

// maxPriority leaves room for the rules that follow the first, before the preferences from 10000 on, where rules are
// when the key is not set.
const maxPriority = 9990

// priority reads the preference at which the policy rules begin. It is one for the host, and stands beside the settings
// of an interface because it decides its rules as they do.
func priority(v value) (func(*Config), error) {
	n, err := typed[int64](v)
	switch {
	case err != nil:
		return nil, err
	case n < 1:
		return nil, errors.New("too small")
	case n > maxPriority:
		return nil, errors.New("too large")
	}
	return func(c *Config) { c.Defaults.Priority = uint32(n) }, nil
}
