package doctor

// checkRoom: without a record what is set up stays, and what the kernel does not tell is lost with the process.
func checkRoom(f Facts) []Finding {
	if f.Full == "" {
		return nil
	}
	return []Finding{{
		ID: "room", Verdict: Warn, Summary: "no space is left in " + f.Full + ": ec2net cannot record what it has set up",
		Remedy: "see what fills it: df " + f.Full + "; du -xa /run | sort -n | tail; the configuration stays, and ec2net records it when there is space",
	}}
}

// checkRecord: what is on record of an interface is what status, doctor and the next process go by.
func checkRecord(_ Facts, c Interface) []Finding {
	if c.Unsaved == "" {
		return nil
	}
	out := Finding{
		ID: "record", Verdict: Warn, Interface: c.Name, Summary: "its record is out of date or missing", Evidence: []string{c.Unsaved},
		Remedy: "it is written again at the next change; to do that now: systemctl reload " + c.unit(),
	}
	if c.AgentPID == 0 {
		out.Remedy = again(c)
	}
	return []Finding{out}
}
