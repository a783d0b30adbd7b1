package doctor

// Report is what a doctor has to say.
type Report struct {
	Findings []Finding `json:"findings"` // the worst first; what another one explains is below it
}

// Worst is the worst verdict of all.
func (r Report) Worst() Verdict {
	worst := OK
	for _, f := range r.Findings {
		worst = max(worst, f.Verdict)
	}
	return worst
}

// check looks at one thing. It returns what is wrong; nothing means that all is well.
type check struct {
	id    string
	host  func(Facts) []Finding            // of the host
	iface func(Facts, Interface) []Finding // of one interface that ec2net manages
	any   bool                             // of an interface that it does not manage, too
}

// checks lists all of them.
func checks() []check {
	return []check{
		{id: "config", host: checkConfig},
		{id: "cloud", host: checkCloud},
		{id: "kernel", host: checkKernel},
		{id: "metadata", host: checkMetadata},
		{id: "metadata-route", host: checkMetadataRoute},
		{id: "refused", host: checkRefused},
		{id: "networkd", host: checkNetworkd},
		{id: "programs", host: checkPrograms},
		{id: "forward", host: checkForward},
		{id: "room", host: checkRoom},
		{id: "orphan", host: checkOrphans},
		{id: "absent", host: checkMissing},
		{id: "readable", iface: checkReadable, any: true},
		{id: "set-up", iface: checkSetUp},
		{id: "values", iface: checkValues},
		{id: "manager", iface: checkManager},
		{id: "link", iface: checkLink},
		{id: "carrier", iface: checkCarrier},
		{id: "rolled-back", iface: checkRolledBack},
		{id: "egress", iface: checkEgress},
		{id: "vf", iface: checkVF},
		{id: "ipv6", iface: checkIPv6},
		{id: "plan", iface: checkPlan},
		{id: "left-out", iface: checkLeftOut},
		{id: "extra-address", iface: checkExtra},
		{id: "table-collision", iface: checkTable},
		{id: "rule-collision", iface: checkRuleCollision},
		{id: "rule-in-front", iface: checkInFront},
		{id: "main-default", iface: checkMainDefault},
		{id: "leave", iface: checkLeave},
		{id: "enter", iface: checkEnter, any: true},
		{id: "arp", iface: checkARP},
		{id: "lease", iface: checkLease},
		{id: "host", iface: checkHost},
		{id: "process", iface: checkProcess},
		{id: "unmanaged", iface: checkUnmanaged, any: true},
		{id: "unit", iface: checkUnit},
		{id: "sandbox", iface: checkSandbox},
		{id: "record", iface: checkRecord},
		{id: "reading-age", iface: checkAge},
		{id: "degraded", iface: checkDegraded},
	}
}

// Examine makes every check, and tells causes from consequences.
func Examine(f Facts) Report {
	var all []Finding
	for _, c := range checks() {
		all = append(all, c.run(f)...)
	}
	return Report{sortOut(unique(all))}
}

// run makes the check. Without its facts (Facts.Gaps) it is Unknown, and one without findings is OK, for each interface.
func (c check) run(f Facts) (out []Finding) {
	if why, gap := f.Gaps[c.id]; gap {
		return []Finding{{ID: c.id, Verdict: Unknown, Summary: why}}
	}
	if c.host != nil {
		return orWell(c.host(f), c.id, "")
	}
	for _, k := range f.Interfaces {
		if k.Managed || c.any {
			out = append(out, orWell(c.iface(f, k), c.id, k.Name)...)
		}
	}
	return out
}

func orWell(list []Finding, id, iface string) []Finding {
	if len(list) == 0 {
		return []Finding{{ID: id, Verdict: OK, Interface: iface}}
	}
	return list
}

// unique leaves out what two interfaces' checks found both: a group is of interest to all.
func unique(list []Finding) (out []Finding) {
	seen := map[string]bool{}
	for _, f := range list {
		key := f.ID + "\x00" + f.Interface + "\x00" + f.Summary
		if !seen[key] {
			seen[key] = true
			out = append(out, f)
		}
	}
	return out
}
