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
	id   string
	host func(Facts) []Finding       // of the host
	card func(Facts, Card) []Finding // of one card that ec2net manages
	any  bool                        // of a card that it does not manage, too
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
		{id: "absent", host: checkStrays},
		{id: "readable", card: checkReadable, any: true},
		{id: "set-up", card: checkSetUp},
		{id: "values", card: checkValues},
		{id: "manager", card: checkManager},
		{id: "link", card: checkLink},
		{id: "carrier", card: checkCarrier},
		{id: "undone", card: checkUndone},
		{id: "egress", card: checkEgress},
		{id: "vf", card: checkVF},
		{id: "ipv6", card: checkIPv6},
		{id: "plan", card: checkPlan},
		{id: "left-out", card: checkLeftOut},
		{id: "extra-address", card: checkExtra},
		{id: "table-collision", card: checkTable},
		{id: "rule-collision", card: checkRuleCollision},
		{id: "rule-in-front", card: checkInFront},
		{id: "main-default", card: checkMainDefault},
		{id: "leave", card: checkLeave},
		{id: "enter", card: checkEnter, any: true},
		{id: "arp", card: checkARP},
		{id: "lease", card: checkLease},
		{id: "host", card: checkHost},
		{id: "keeper", card: checkKeeper},
		{id: "unmanaged", card: checkAlone, any: true},
		{id: "unit", card: checkUnit},
		{id: "sandbox", card: checkSandbox},
		{id: "record", card: checkRecord},
		{id: "reading-age", card: checkAge},
		{id: "degraded", card: checkDegraded},
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

func (c check) run(f Facts) (out []Finding) {
	if why, gap := f.Gaps[c.id]; gap {
		return []Finding{{ID: c.id, Verdict: Unknown, Summary: why}}
	}
	if c.host != nil {
		return orWell(c.host(f), c.id, "")
	}
	for _, k := range f.Cards {
		if k.Managed || c.any {
			out = append(out, orWell(c.card(f, k), c.id, k.Name)...)
		}
	}
	return out
}

func orWell(list []Finding, id, card string) []Finding {
	if len(list) == 0 {
		return []Finding{{ID: id, Verdict: OK, Card: card}}
	}
	return list
}

// unique leaves out what two cards' checks found both: a group is of interest to all.
func unique(list []Finding) (out []Finding) {
	seen := map[string]bool{}
	for _, f := range list {
		key := f.ID + "\x00" + f.Card + "\x00" + f.Summary
		if !seen[key] {
			seen[key] = true
			out = append(out, f)
		}
	}
	return out
}
