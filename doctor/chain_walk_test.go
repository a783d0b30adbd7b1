package doctor

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// verdictRule is a rule that applies to every packet.
func verdictRule(code int32, chain string) chainRule { return chainRule{verdictOf(code, chain)} }

// Rules that branch are walked once for each chain: 16 chains of 8 jumps each are 8 to the power of 16 ways.
func TestChainsThatBranch(t *testing.T) {
	t.Parallel()
	const chains, jumps = 16, 8
	for _, tt := range []struct {
		name string
		last chainRule
		want outcome
	}{
		{"to a drop", verdictRule(0, ""), drops},
		{"to an accept", verdictRule(1, ""), accepts},
		{"to nothing", verdictRule(unix.NFT_RETURN, ""), falls},
	} {
		rules := map[string][]chainRule{fmt.Sprint(chains): {tt.last}}
		for i := range chains {
			for range jumps {
				rules[fmt.Sprint(i)] = append(rules[fmt.Sprint(i)], verdictRule(unix.NFT_JUMP, fmt.Sprint(i+1)))
			}
		}
		w := chainWalk{table: chainTable{rules: rules}, done: map[string]outcome{}}
		if got := w.chain("0"); got != tt.want || w.walked > chains+1 {
			t.Errorf("%s: %b after %d chains, want %b after %d", tt.name, got, w.walked, tt.want, chains+1)
		}
	}
}

// Jumps, gotos and what they come back to, by nft(8), "VERDICT STATEMENTS".
func TestChainVerdicts(t *testing.T) {
	t.Parallel()
	to := func(code int32, chain string) []chainRule { return []chainRule{verdictRule(code, chain)} }
	accept, drop := verdictRule(1, ""), verdictRule(0, "")
	for _, tt := range []struct {
		name  string
		rules map[string][]chainRule
		drops bool // the policy
		want  outcome
	}{
		{"no rules, accept", nil, false, accepts},
		{"no rules, drop", nil, true, drops},
		{"the first verdict counts", map[string][]chainRule{"f": {accept, drop}}, true, accepts},
		{"continue", map[string][]chainRule{"f": {verdictRule(unix.NFT_CONTINUE, ""), drop}}, false, drops},
		{"return of a base chain is its policy", map[string][]chainRule{"f": {verdictRule(unix.NFT_RETURN, ""), accept}}, true, drops},
		{"jump, and back", map[string][]chainRule{"f": append(to(unix.NFT_JUMP, "a"), drop), "a": to(unix.NFT_RETURN, "")}, false, drops},
		{"jump to what accepts", map[string][]chainRule{"f": append(to(unix.NFT_JUMP, "a"), drop), "a": {accept}}, false, accepts},
		{"goto does not come back", map[string][]chainRule{"f": append(to(unix.NFT_GOTO, "a"), drop), "a": nil}, false, accepts},
		{"goto in a jump comes back to the one that jumped", map[string][]chainRule{
			"f": append(to(unix.NFT_JUMP, "a"), drop), "a": append(to(unix.NFT_GOTO, "b"), accept), "b": nil,
		}, false, drops},
		{"an unknown verdict", map[string][]chainRule{"f": to(-99, "")}, false, accepts | drops},
		{"a circle", map[string][]chainRule{"f": to(unix.NFT_JUMP, "a"), "a": to(unix.NFT_JUMP, "f")}, false, accepts | drops},
		{"a circle behind a verdict", map[string][]chainRule{"f": append([]chainRule{drop}, to(unix.NFT_JUMP, "f")...)}, false, drops},
	} {
		c := Chain{Family: "ip", Table: "x", Name: "f", Drops: tt.drops, table: chainTable{rules: tt.rules}}
		if got := c.fate(passage{}); got != tt.want {
			t.Errorf("%s: %b, want %b", tt.name, got, tt.want)
		}
	}
}
