package main

import (
	"fmt"

	"ec2net/agent"
	"ec2net/state"
)

// Who manages an interface, for status.

// managedByText says who manages an interface, and by which configuration.
func managedByText(c interfaceStatus) string {
	switch {
	case c.Died:
		return "nobody: the process that managed it has died"
	case c.Process == 0:
		return "nobody (set up once, with ec2net up)"
	}
	s := fmt.Sprintf("%s, %s", processText(c.Process), agent.Plural(c.Repairs, "repair", "repairs"))
	if c.Stopped {
		s += "; " + state.Stopped(c.Process)
	}
	if c.OutdatedConfig {
		s += "; with an older configuration; to stop it: " + agent.StopCommand(c.Name)
	}
	return s
}

// processText names the process that manages an interface; a lock whose holder cannot be read has pid -1.
func processText(pid int) string {
	if pid < 0 {
		return "an unknown process"
	}
	return fmt.Sprintf("process %d", pid)
}
