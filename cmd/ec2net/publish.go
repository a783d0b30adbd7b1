package main

import "ec2net/state"

// publish has the metrics written.
func (a *agent) publish() { a.metrics.Publish(a.store, a.config.MetricsFile) }

// close ends what the agent began. What fails with the metrics is said, if it was not.
func (a *agent) close() {
	a.complain(fromMetrics, a.metrics.Finish())
	a.link.Close()
}

// forget removes the record of an interface of which nothing is left.
func (a *agent) forget() error {
	err := a.store.Remove(a.record.Name)
	a.publish()
	return err
}

// publish is for an interface that was taken down.
func (p *program) publish() {
	conf, err := p.config()
	if err == nil {
		var w state.Publisher
		w.Publish(p.store, conf.MetricsFile)
		err = w.Finish()
	}
	if err != nil {
		p.log.Warnf("metrics: %s", oneLine(err))
	}
}
