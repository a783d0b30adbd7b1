package main

import (
	"errors"
	"time"

	"ec2net/config"
	"ec2net/state"
)

// Reading the configuration without hanging on its file system, such as an NFS server that is gone. A read(2) there
// cannot be interrupted, so it has a goroutine of its own, and the command goes on without it.

// configTime is how long a command waits for the configuration. To read a file takes a moment, unless its file system
// does not answer.
const configTime = 10 * time.Second

// config reads the configuration. A signal ends the wait for it. A process that is to manage an interface waits for as
// long as systemd lets it: without the configuration it does not know whether the interface is its own.
func (p *program) config() (config.Config, error) {
	if p.configLost {
		return config.Config{}, p.silentFile()
	}
	type answer struct {
		conf config.Config
		err  error
	}
	answers := make(chan answer, 1)
	go state.Unsignalled(func() {
		conf, err := config.Load(p.configFile)
		answers <- answer{conf, err}
	})
	late := time.NewTimer(configTime)
	defer late.Stop()
	for {
		select {
		case a := <-answers:
			return p.checked(a.conf, a.err)
		case <-p.ctx.Done():
			p.configLost = true
			return config.Config{}, fail(exitFailed, "interrupted: %w", p.silentFile())
		case <-late.C:
			if !p.waits {
				p.configLost = true
				return config.Config{}, p.silentFile()
			}
			p.log.Warn(p.silentFile())
		}
	}
}

// checked gives the errors of the configuration their exit status, and refuses a --config file that is not there.
// Without the default file the defaults apply.
func (p *program) checked(c config.Config, err error) (config.Config, error) {
	if err != nil {
		return c, fail(exitUsage, "%w", err)
	}
	if c.File == "" && p.configFile != config.Path {
		return c, fail(exitUsage, "--config %s: %w", p.configFile, errNoFile)
	}
	return c, nil
}

// errNoFile is for a file that --config names.
var errNoFile = errors.New("there is no such file")

// errSilentFile means that the file system of the configuration does not answer.
var errSilentFile = errors.New("the file system does not answer")

// silentFile is the error for a configuration that cannot be read because its file system does not answer.
func (p *program) silentFile() error {
	return fail(exitFailed, "configuration %s: %w", p.configFile, errSilentFile)
}

// outdated reports whether the configuration was changed after the process that manages the interface had read it.
func (p *program) outdated(name string) bool {
	return p.configFile == config.Path && !p.configLost && p.store.Outdated(name, p.configFile)
}
