package agent

import (
	"fmt"
	"strings"
	"time"

	"ec2net/dhcp"
	"ec2net/metadata"
	"ec2net/plumb"
)

// Words and lines for a person: times, lists, numbers. Pure; they know nothing of interfaces.

// OneLine is an error on one line of lineLength bytes at most.
func OneLine(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	if len(text) > lineLength {
		return strings.ToValidUTF8(text[:lineLength], "") + " …"
	}
	return text
}

// First is the first address that is granted, or "no address".
func First(c metadata.Interface) string {
	for _, list := range [][]string{Texts(c.Addrs4.Value), Texts(c.Addrs6.Value)} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return "no address"
}

// Extra is how many addresses are granted beside the first one.
func Extra(c metadata.Interface) int { return max(0, len(c.Addrs4.Value)+len(c.Addrs6.Value)-1) }

// Texts are the texts of a list. The result is never nil, so that it is [] in JSON.
func Texts[T fmt.Stringer](list []T) []string {
	out := make([]string, 0, len(list))
	for _, x := range list {
		out = append(out, x.String())
	}
	return out
}

// Until says until when a lease is valid: "until 16:04:05", "ended 16:04:05" or "with no expiry".
func Until(l *dhcp.Lease) string {
	if l.Expires == dhcp.Infinite {
		return "with no expiry"
	}
	word := "until "
	if !l.Live(time.Now()) {
		word = "ended "
	}
	return word + Clock(l.Start.Add(l.Expires))
}

// Plural is a number with its noun: "1 interface", "2 interfaces".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Clock is a time of the day, for lines that are repeated only when they change; an age would change all the time.
func Clock(t time.Time) string { return t.Format(time.TimeOnly) }

// Lines splits a joined error into its messages, for a list.
func Lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

const (
	// ListedAtMost is how many operations of a plan stand on one line.
	ListedAtMost = 12
	// lineLength is the longest warning, in bytes.
	lineLength = 400
)

// planLine is a plan on one line, with ListedAtMost operations.
func planLine(p plumb.Plan) string {
	var parts []string
	for _, o := range p[:min(len(p), ListedAtMost)] {
		parts = append(parts, o.String())
	}
	if more := len(p) - ListedAtMost; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}
