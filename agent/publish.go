package agent

// publish has the metrics written.
func (a *Agent) publish() { a.metrics.Publish(a.store, a.config.MetricsFile) }

// Close ends what the agent began. What fails with the metrics is logged, if it was not.
func (a *Agent) Close() {
	a.warnOnce(fromMetrics, a.metrics.Finish())
	a.link.Close()
}

// forget removes the record of an interface of which nothing is left.
func (a *Agent) forget() error {
	err := a.store.Remove(a.record.Name)
	a.publish()
	return err
}
