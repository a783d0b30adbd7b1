package doctor

import "fmt"

// checkUnmanaged finds what ec2net still does with an interface that the configuration leaves alone.
func checkUnmanaged(_ Facts, c Interface) []Finding {
	out := Finding{ID: "unmanaged", Verdict: Warn, Interface: c.Name}
	switch {
	case !c.Alone:
		return nil
	case c.AgentPID != 0:
		out.Summary = fmt.Sprintf("the configuration leaves it alone, but process %d still manages it with an older configuration", c.AgentPID)
		out.Remedy = fmt.Sprintf("systemctl restart %s, or without its unit: ec2net down %s", c.unit(), c.Name)
	case c.SetUp:
		out.Summary = "the configuration leaves it alone, but something that ec2net set up is still on it"
		out.Remedy = "ec2net down " + c.Name
	default:
		return nil
	}
	return []Finding{out}
}
