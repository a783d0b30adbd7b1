package metadata

import (
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	f := newFake(t, "plain")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv(endpointVar, f.URL+"/")
	if _, err := newClientAt(t, EC2Options{}).Read(t.Context(), secondMAC); err != nil {
		t.Error(err)
	}
	t.Setenv(endpointVar, "http://metadata.example")
	if _, err := NewEC2(EC2Options{}); err == nil {
		t.Error("a name as endpoint was taken")
	}
}

func TestOnLoopback6(t *testing.T) {
	f := newFakeOn(t, "full", "[::1]:0")
	if got, err := f.client(t).Read(t.Context(), secondMAC); err != nil || got.N() != 102 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestOptions(t *testing.T) {
	for url, want := range map[string]string{
		"http://169.254.169.254":              "http://169.254.169.254",
		"http://169.254.169.254/":             "http://169.254.169.254",
		"http://127.0.0.1:8080":               "http://127.0.0.1:8080",
		"http://[fd00:ec2::254]":              "http://[fd00:ec2::254]",
		"http://[fd00:ec2::254]:80":           "http://[fd00:ec2::254]",
		"http://[::1]:8080/":                  "http://[::1]:8080",
		"https://169.254.169.254":             "",
		"169.254.169.254":                     "",
		"http://":                             "",
		"http://localhost":                    "",
		"http://localhost:80":                 "",
		"http://metadata.internal":            "",
		"http://1.2.3.4:99999":                "",
		"http://1.2.3.4:0":                    "",
		"http://1.2.3.4:":                     "",
		"http://1.2.3.4:http":                 "",
		"http://0x7f000001":                   "",
		"http://2130706433":                   "",
		"http://0.0.0.0":                      "",
		"http://[::]:80":                      "",
		"http://224.0.0.1":                    "",
		"http://::1":                          "",
		"http://[::1":                         "",
		"http://[127.0.0.1]":                  "",
		"http://[fe80::1%25eth0]":             "",
		"http://[fe80::1%eth0]:80":            "",
		"http://[::ffff:169.254.0.1]":         "",
		"http://user:pw@1.2.3.4":              "",
		"http://1.2.3.4/latest":               "",
		"http://1.2.3.4?x":                    "",
		"http://1.2.3.4#x":                    "",
		"http://1.2.3.4\r\nX: y":              "",
		"http://1.2.3.4 ":                     "",
		"file:///etc/passwd":                  "",
		"http://" + strings.Repeat("1", 5000): "",
	} {
		got, err := parseEndpoint(url)
		if (err == nil && got != want) || (err == nil) != (want != "") {
			t.Errorf("%.40q: %q, %v; want %q", url, got, err, want)
		}
		if at := serverOf(got); err == nil && (!at.IsValid() || "http://"+strings.TrimSuffix(at.String(), ":80") != got) {
			t.Errorf("%q is at %s", got, at)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.40q: an error of %d characters", url, len(err.Error()))
		}
	}
	for _, o := range []EC2Options{
		{Interface: "a-name-that-is-too-long"}, {Interface: "../eth0"}, {Interface: "eth 0"}, {Timeout: -1},
	} {
		if _, err := NewEC2(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
