package main

import (
	"strings"
	"testing"

	"ec2net/test/lab"
)

func TestBatchOf(t *testing.T) {
	tests := map[string]string{
		"+ addr 10.0.2.37/24 dev eth1 noprefixroute":                "addr add 10.0.2.37/24 dev eth1 noprefixroute",
		"- addr 10.0.2.37/24 dev eth1":                              "addr del 10.0.2.37/24 dev eth1",
		"+ route default via 10.0.2.1 dev eth1 table 10001":         "route add default via 10.0.2.1 dev eth1 table 10001 protocol 236",
		"~ route default via 10.0.2.1 dev eth1 table 10001":         "route replace default via 10.0.2.1 dev eth1 table 10001 protocol 236",
		"+ rule from 10.0.2.37 lookup 10001 pref 20001":             "rule add from 10.0.2.37 lookup 10001 pref 20001 protocol 236",
		"- rule from 10.0.2.37 lookup 10001 pref 20001":             "rule del from 10.0.2.37 lookup 10001 pref 20001 protocol 236",
		"+ altname eni-0a1 dev eth1":                                "link property add dev eth1 altname eni-0a1",
		"~ link eth1 up":                                            "link set dev eth1 up",
		"~ link eth1 mtu 9001":                                      "link set dev eth1 mtu 9001",
		"~ link eth0 group 236":                                     "link set dev eth0 group 236",
		"eth1: + altname eni-0a1 dev eth1":                          "link property add dev eth1 altname eni-0a1", // a line of the log
		"eth1: lease of 10.0.2.37/24 from 10.0.2.1":                 "",
		"eth1: ready: 10.0.2.37, table 10001, lease until 14:00:00": "",
		"": "",
	}
	for in, want := range tests {
		got, err := batchOf(in + "\n")
		if err != nil || strings.TrimSpace(got.four) != want || got.six != "" {
			t.Errorf("%q:\n got %q, %v\nwant %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"+ rule from 2001:db8::1 lookup 10001":       "rule add from 2001:db8::1 lookup 10001 protocol 236",
		"+ addr 2001:db8::1/128 dev eth1":            "addr add 2001:db8::1/128 dev eth1 nodad",
		"- addr 2001:db8::1/128 dev eth1":            "addr del 2001:db8::1/128 dev eth1",
		"+ route default via fe80:ec2::1 dev eth1":   "route add default via fe80:ec2::1 dev eth1 protocol 236",
		"+ route 2001:db8::/64 dev eth1 table 10001": "route add 2001:db8::/64 dev eth1 table 10001 protocol 236",
	} {
		if got, err := batchOf(in); err != nil || strings.TrimSpace(got.six) != want || got.four != "" || got.count() != 1 {
			t.Errorf("%q:\n got %q, %v\nwant %q", in, got, err, want)
		}
	}
}

func TestBatchOfRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"+ tunnel a b":                 "no such operation",
		"~ addr 10.0.0.1/24 dev eth1":  "no such operation",
		"+ link eth1 up":               "no such operation",
		"+ altname eni-0a1":            "no such operation",
		"+ altname eni-0a1 dev eth1 x": "no such operation",
	} {
		_, err := batchOf(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", in, err, want)
		}
	}
}

func TestCurlConfig(t *testing.T) {
	got := curlConfig([]lab.Request{
		{Method: "PUT", Path: "/latest/api/token"},
		{Method: "GET", Path: "/latest/meta-data/mac"},
	}, "SECRET")
	want := `request = "PUT"
url = "http://169.254.169.254/latest/api/token"
header = "X-aws-ec2-metadata-token-ttl-seconds: 21600"
output = "/dev/null"
next
silent
fail
request = "GET"
url = "http://169.254.169.254/latest/meta-data/mac"
header = "X-aws-ec2-metadata-token: SECRET"
output = "/dev/null"
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
