package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// source is what the packages are made from.
type source struct {
	describe   string    // what git describes, or VERSION; the program's own version
	version    string    // the packages'
	maintainer string    // name and mail address
	date       time.Time // of the commit, or SOURCE_DATE_EPOCH
}

// The package's revision: counts packagings of one version.
const release = "1"

// describe asks the environment, then git.
func describe(ctx context.Context, env func(string) string) (source, error) {
	s := source{maintainer: cmp.Or(env("MAINTAINER"), "ec2net maintainers <ec2net@localhost>")}
	var err error
	if s.describe = env("VERSION"); s.describe == "" {
		if s.describe, err = output(ctx, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
			return s, fmt.Errorf("which version? set VERSION where git does not know: %w", err)
		}
	}
	epoch := env("SOURCE_DATE_EPOCH")
	if epoch == "" {
		if epoch, err = output(ctx, "git", "log", "-1", "--format=%ct"); err != nil {
			return s, fmt.Errorf("which date? set SOURCE_DATE_EPOCH where git does not know: %w", err)
		}
	}
	if s.date, err = parseEpoch(epoch); err != nil {
		return s, err
	}
	commits, _ := output(ctx, "git", "rev-list", "--count", "HEAD") // without git there is nothing to count
	n, _ := strconv.Atoi(commits)
	s.version, err = packageVersion(s.describe, n)
	return s, err
}

// parseEpoch reads seconds since 1970 (reproducible-builds.org/specs/source-date-epoch). Packages hold
// 32 bits of them.
func parseEpoch(s string) (time.Time, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q: not a number of seconds since 1970", s)
	}
	return time.Unix(int64(n), 0).UTC(), nil
}

// tagged is git's description of a commit at or after a tag, untagged one before any tag.
var (
	tagged   = regexp.MustCompile(`^v?([0-9]+(?:\.[0-9]+)+)(?:-([0-9A-Za-z.]+))??(?:-([0-9]+)-g([0-9a-f]+))?$`)
	untagged = regexp.MustCompile(`^(?:[0-9a-f]{4,64}|dev)$`)
)

// packageVersion makes a version for both dpkg and rpm of what git describes. It sorts as the commits
// do: both take "~" for less than nothing, and what follows a "+" for more.
//
//	cc35656            0~7.gcc35656       the seventh commit, before any tag
//	v1.2.0-rc1         1.2.0~rc1
//	v1.2.0             1.2.0
//	v1.2.0-4-gcc35656  1.2.0+4.gcc35656   four commits later
func packageVersion(describe string, commits int) (string, error) {
	clean, changed := strings.CutSuffix(describe, "-dirty")
	if m := tagged.FindStringSubmatch(clean); m != nil {
		v := m[1]
		if m[2] != "" {
			v += "~" + m[2]
		}
		switch {
		case m[3] != "":
			v += "+" + m[3] + ".g" + m[4]
		case changed:
			v += "+0"
		}
		return v + dirty(changed), nil
	}
	switch {
	case !untagged.MatchString(clean):
		return "", fmt.Errorf("version %q: neither a tag such as v1.2.3 nor a commit's hash", describe)
	case clean == "dev":
		return "0~dev" + dirty(changed), nil
	}
	return fmt.Sprintf("0~%d.g%s", commits, clean) + dirty(changed), nil
}

func dirty(changed bool) string {
	if changed {
		return ".dirty"
	}
	return ""
}

// output is what a command prints, without the last line end.
func output(ctx context.Context, name string, args ...string) (string, error) {
	var complaint bytes.Buffer
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = &complaint
	b, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(c.Args, " "), errors.Join(err, said(complaint.Bytes())))
	}
	return strings.TrimSpace(string(b)), nil
}

// said is what a command complained about, as an error.
func said(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 {
		return errors.New(string(b))
	}
	return nil
}
