package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"ec2net/test/lab"
)

// bed is a cloud to measure on.
type bed struct {
	options
	*lab.Cloud
	dir string // for sockets and the state of ec2net
}

// newBed makes a cloud with these interfaces. Close it.
func (o options) newBed(ifaces ...lab.Interface) (*bed, error) {
	return o.newBedOf(lab.Config{Interfaces: ifaces})
}

func (o options) newBedOf(cfg lab.Config) (*bed, error) {
	dir, err := os.MkdirTemp("", "ec2net-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	c, err := lab.New(cfg)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &bed{o, c, dir}, nil
}

func (b *bed) close() error { return errors.Join(b.Cloud.Close(), os.RemoveAll(b.dir)) }

// env is the environment of what is measured: nothing of the caller's may count.
func (b *bed) env(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "RUNTIME_DIRECTORY=" + b.dir}, more...)
}

// cost is what one process has cost.
type cost struct {
	wall, cpu time.Duration
	out       string // stdout and stderr
}

// run runs a program on the instance to its end. stdin may be empty.
func (b *bed) run(ctx context.Context, stdin, name string, args ...string) (cost, error) {
	cmd := b.Instance().Command(ctx, name, args...)
	var out bytes.Buffer
	cmd.Env = b.env()
	cmd.Stdout, cmd.Stderr = &out, &out
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	begun := time.Now()
	err := cmd.Run()
	c := cost{wall: time.Since(begun), out: out.String()}
	if err != nil {
		return c, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, c.out)
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return c, nil
}

// ec2net runs the program to its end.
func (b *bed) ec2net(ctx context.Context, args ...string) (cost, error) {
	return b.run(ctx, "", b.bin, append([]string{"--cloud", "ec2"}, args...)...)
}

// batch writes kernel objects as a script would: ip(8)'s commands, one a line.
func (b *bed) batch(ctx context.Context, commands string) (cost, error) {
	return b.run(ctx, commands, "ip", "-batch", "-")
}

// asked lists the metadata requests since a time.
func (b *bed) asked(since time.Time) []lab.Request { return b.IMDS().Requests(since) }

const (
	imdsURL     = "http://169.254.169.254"
	tokenPath   = "/latest/api/token"
	tokenHeader = "X-aws-ec2-metadata-token"
	ttlHeader   = tokenHeader + "-ttl-seconds: 21600"
)

// token gets a token for curl, which cannot use one answer in its next request.
func (b *bed) token(ctx context.Context) (string, error) {
	t := &http.Transport{DialContext: b.Instance().Dial}
	defer t.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, imdsURL+tokenPath, nil)
	if err != nil {
		return "", err
	}
	name, value, _ := strings.Cut(ttlHeader, ": ")
	r.Header.Set(name, value)
	resp, err := t.RoundTrip(r)
	if err != nil {
		return "", fmt.Errorf("get a metadata token: %w", err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return "", fmt.Errorf("get a metadata token: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("get a metadata token: %s", resp.Status)
	}
	return body.String(), nil
}

// curl makes the same requests on one connection.
func (b *bed) curl(ctx context.Context, requests []lab.Request) (cost, error) {
	token, err := b.token(ctx)
	if err != nil {
		return cost{}, err
	}
	before := b.IMDS().Stats().Connections
	c, err := b.run(ctx, curlConfig(requests, token), "curl", "--parallel", "--parallel-max", "1", "--silent", "--show-error", "--fail", "--config", "-")
	if n := b.IMDS().Stats().Connections - before; err == nil && n != 1 {
		err = fmt.Errorf("curl used %d connections for %d requests: it is no floor", n, len(requests))
	}
	return c, err
}

// curlConfig is the same requests in curl's language.
func curlConfig(requests []lab.Request, token string) string {
	var parts []string
	for _, r := range requests {
		header := tokenHeader + ": " + token
		if r.Path == tokenPath {
			header = ttlHeader
		}
		parts = append(parts, fmt.Sprintf("request = %q\nurl = %q\nheader = %q\noutput = \"/dev/null\"\n", r.Method, imdsURL+r.Path, header))
	}
	return strings.Join(parts, "next\nsilent\nfail\n")
}
