package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ec2net/metadata"
)

// clouds.md has each cloud that has a reader by its name, and the servers and drivers of every cloud.
func TestCloudsAreDescribed(t *testing.T) {
	text := read(t, "clouds.md")
	named := metadata.Clouds()
	for _, c := range append(named, string(metadata.CloudAliyun), string(metadata.CloudTencent)) {
		for _, a := range metadata.Cloud(c).Traits().Metadata {
			if !strings.Contains(text, a.String()) {
				t.Errorf("%s: %s is missing", c, a)
			}
		}
	}
	for _, word := range append(metadata.Drivers(), named...) {
		if !strings.Contains(text, "`"+word+"`") {
			t.Errorf("%s is missing", word)
		}
	}
	if len(named) < 4 {
		t.Errorf("only %d clouds have a reader", len(named))
	}
}

// Every link of clouds.md within the page or to a file leads somewhere.
func TestCloudsLinks(t *testing.T) {
	text, links := read(t, "clouds.md"), 0
	heads := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		heads[strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")] = true
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		links++
		page, head, _ := strings.Cut(m[1], "#")
		_, missing := os.Stat(filepath.FromSlash(page))
		switch {
		case strings.HasPrefix(m[1], "https://"):
		case page == "" && !heads[head], page != "" && missing != nil:
			t.Errorf("%s leads nowhere", m[1])
		}
	}
	if links < 20 {
		t.Errorf("only %d links", links)
	}
}
