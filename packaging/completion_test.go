//go:build packages

package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is typed before the Tab, and what must be offered or filled in; "" for the package's commands.
var typed = []struct{ line, want string }{
	{"ec2net st", "status"},
	{"ec2net plan --js", "--json"},
	{"ec2net doc", "doctor"},
	{"ec2net doctor --js", "--json"},
	{"ec2net expl", "explain"},
	{"ec2net explain --i", "--in"},
	{"ec2ifup --wa", "--wait"},
	{"ec2ifdown --if", "--if-gone"},
	{"ec2ifdown --lo", "--log-level"},
	{"ec2ifscan --cl", "--cloud"},
}

// shell runs a script in which the package's ec2net and its old names are found.
func shell(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "usr/sbin")+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "TERM=dumb", "LC_ALL=C.UTF-8")
	b, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, b)
	}
	return string(b)
}

// completeBash does what readline does for the command line $2, with the files in the folder $1.
const completeBash = `
. /usr/share/bash-completion/bash_completion
word=${2%% *}
. "$1/$word"
handler=$(complete -p "$word" | sed 's/.*-F \([^ ]*\).*/\1/')
compopt() { :; } # there is no readline here
COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9 COMP_WORDBREAKS=$' \t\n"'"'"'><=;|&(:'
read -ra COMP_WORDS <<<"$2"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"$handler" "$word" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\n' "${COMPREPLY[@]}"
`

func TestCompletionBash(t *testing.T) {
	dir := unpacked(t)
	for _, c := range typed {
		got := shell(t, dir, "bash", "-c", completeBash, "bash", filepath.Join(dir, "usr/share/bash-completion/completions"), c.line)
		if strings.TrimSpace(got) != c.want {
			t.Errorf("bash: %q becomes %q, want %q", c.line, got, c.want)
		}
	}
}

func TestCompletionFish(t *testing.T) {
	dir := unpacked(t)
	for _, c := range typed {
		got := shell(t, dir, "fish", "--no-config", "-c", "for f in $argv[1]/*.fish; source $f; end; complete -C $argv[2]",
			filepath.Join(dir, "usr/share/fish/vendor_completions.d"), c.line)
		if first, _, _ := strings.Cut(strings.TrimSpace(got), "\t"); first != c.want {
			t.Errorf("fish: %q becomes %q, want %q", c.line, got, c.want)
		}
	}
}

// completeZsh types the command line $2 into a zsh of its own, with the files in the folder $1, and
// shows what became of it.
const completeZsh = `
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; PS1=; unsetopt zle_bracketed_paste; shown() { print -r -- \"<\$BUFFER>\"; BUFFER= }; zle -N shown; bindkey '^X' shown; bindkey '^I' complete-word; print re''ady"
zpty -r inner out '*ready*'
zpty -n -w inner "$2"$'\t\x18'
zpty -r inner out '*<*>*'
print -r -- "${${out##*<}%%>*}"
zpty -d inner
`

func TestCompletionZsh(t *testing.T) {
	dir := unpacked(t)
	for _, c := range typed {
		got := shell(t, dir, "timeout", "20", "zsh", "-f", "-c", completeZsh, "zsh", filepath.Join(dir, "usr/share/zsh/vendor-completions"), c.line)
		words := strings.Fields(got)
		if len(words) == 0 || words[len(words)-1] != c.want {
			t.Errorf("zsh: %q becomes %q, want %q", c.line, got, c.want)
		}
	}
}
