package doctor

// checkRoom: without a record what is set up stays, and what the kernel does not tell is lost with the process.
func checkRoom(f Facts) []Finding {
	if f.Full == "" {
		return nil
	}
	return []Finding{{
		ID: "room", Verdict: Warn, Summary: "there is no room left in " + f.Full + ": ec2net cannot write down what it has set up",
		Remedy: "see what fills it: df " + f.Full + "; du -xa /run | sort -n | tail; what is set up stays, and is written down when there is room",
	}}
}

// checkRecord: what is on record of an interface is what status, doctor and the next process go by.
func checkRecord(_ Facts, c Interface) []Finding {
	if c.Unsaved == "" {
		return nil
	}
	out := Finding{
		ID: "record", Verdict: Warn, Interface: c.Name, Summary: "what is on record of it is old, or nothing", Evidence: []string{c.Unsaved},
		Remedy: "it is written again with the next change of the interface: systemctl reload " + c.unit(),
	}
	if c.Keeper == 0 {
		out.Remedy = again(c)
	}
	return []Finding{out}
}
