package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// events are what two runs of `go test -json` say, the second after the guest's kernel had died, and a line of what runs them.
const events = `{"Action":"start","Package":"ec2net/test/system"}
{"Action":"run","Test":"TestPlug"}
{"Action":"run","Test":"TestPlug/forky"}
{"Action":"output","Test":"TestPlug/forky","Output":"=== RUN   TestPlug/forky\n"}
{"Action":"attr","Test":"TestPlug/forky","Key":"suite","Value":"forky"}
{"Action":"attr","Test":"TestPlug/forky","Key":"plug","Value":"140ms"}
{"Action":"pass","Test":"TestPlug/forky"}
{"Action":"pass","Test":"TestPlug"}
{"Action":"attr","Test":"TestVM/forky/boot","Key":"suite","Value":"forky"}
{"Action":"attr","Test":"TestVM/forky/boot","Key":"kernel","Value":"7.2.12"}
{"Action":"fail","Test":"TestVM/forky/boot"}
The guest's kernel died in the emulator: once more.
{"Action":"attr","Test":"TestVM/forky/boot","Key":"suite","Value":"forky"}
{"Action":"pass","Test":"TestVM/forky/boot"}
{"Action":"attr","Test":"TestBesideManager/forky/dhcpcd","Key":"suite","Value":"forky"}
{"Action":"attr","Test":"TestBesideManager/forky/dhcpcd","Key":"plug","Value":"30.2s"}
{"Action":"attr","Test":"TestBesideManager/forky/dhcpcd","Key":"restart","Value":"0s"}
{"Action":"fail","Test":"TestBesideManager/forky/dhcpcd"}
{"Action":"fail","Test":"TestBesideManager"}
`

func TestRun(t *testing.T) {
	docs := t.TempDir()
	page := filepath.Join(docs, pageFile)
	if err := os.WriteFile(page, []byte("before\n"+partBegins+"old\n"+partEnds+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(strings.NewReader(events), &out, docs, false); err == nil || err.Error() != "failed: TestBesideManager/dhcpcd on forky" {
		t.Errorf("the verdict is %v", err)
	}
	if want := "=== RUN   TestPlug/forky\nThe guest's kernel died in the emulator: once more.\n"; out.String() != want {
		t.Errorf("it prints %q", out.String())
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n" + partBegins, partEnds + "after\n",
		"| kernel of the virtual machines | not run | not run | not run | 7.2.12 |\n",
		"| no manager | not run | not run | not run | 0.14 s |\n",
		"| dhcpcd | not run | not run | not run | 30.20 s, gap 0.00 s |\n",
		"| `TestBesideManager/dhcpcd` | not run | not run | not run | **fails** |\n",
		"| `TestVM/boot` | not run | not run | not run | passes |\n",
		time.Now().UTC().Format(time.DateOnly),
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the page has not %q:\n%s", want, b)
		}
	}
	if strings.Contains(string(b), "old") {
		t.Errorf("the page has what was there before:\n%s", b)
	}

	again := `{"Action":"attr","Test":"TestPlug/sid","Key":"suite","Value":"sid"}
{"Action":"attr","Test":"TestPlug/sid","Key":"plug","Value":"8s"}
{"Action":"pass","Test":"TestPlug/sid"}
{"Action":"attr","Test":"TestVM/sid/boot","Key":"suite","Value":"sid"}
{"Action":"attr","Test":"TestVM/sid/boot","Key":"kernel","Value":"7.3.0"}
{"Action":"pass","Test":"TestVM/sid/boot"}
`
	out.Reset()
	if err := run(strings.NewReader(again), &out, docs, true); err != nil {
		t.Error(err)
	}
	if want := "Otherwise than on forky:\n  TestPlug on sid: plug 8s, was 140ms\n  TestVM/boot on sid: kernel 7.3.0, was 7.2.12\n"; out.String() != want {
		t.Errorf("it says %q, want %q", out.String(), want)
	}
}

// What is no result of a test that boots a release is an error, too.
func TestVerdict(t *testing.T) {
	for input, want := range map[string]string{
		"": "no test that boots a release has run",
		`{"Action":"fail","Package":"ec2net/test/system"}` + "\n":                                                                   "ec2net/test/system",
		events[:strings.Index(events, `{"Action":"attr","Test":"TestVM`)] + `{"Action":"skip","Package":"p","Test":"TestX"}` + "\n": "p TestX",
	} {
		if err := run(strings.NewReader(input), io.Discard, t.TempDir(), true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the verdict is %v, want %s; events:\n%s", err, want, input)
		}
	}
}

// The page has what the results say, and names only tests that there are.
func TestPage(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	known, err := load(filepath.Join(docs, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, pageFile))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), partBegins)
	if part, _, _ := strings.Cut(rest, partEnds); part != render(known) {
		t.Errorf("%s is not what %s says: `go run ./test/releases </dev/null` writes it anew", pageFile, resultsFile)
	}
	var sources strings.Builder
	for _, folder := range []string{"../system", "../vm"} {
		files, _ := filepath.Glob(folder + "/*_test.go")
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(b)
		}
	}
	for _, name := range known.names() {
		if name, _, _ = strings.Cut(name, "/"); !strings.Contains(sources.String(), "\nfunc "+name+"(") {
			t.Errorf("there is no %s", name)
		}
	}
}
