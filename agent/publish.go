package agent

// The end of an agent, and of its record. The metrics are written by a goroutine that nobody waits for
// (state.Publisher).

// publish has the metrics of all interfaces written anew; it does not wait.
func (a *Agent) publish() { a.metrics.Publish(a.store, a.config.MetricsFile) }

// Close ends what the agent began: it waits a few seconds at most for the metrics and closes the sockets. What is set
// up stays.
func (a *Agent) Close() {
	a.warnOnce(fromMetrics, a.metrics.Finish())
	a.link.Close()
}

// forget removes the record of an interface on which nothing of ours is left.
func (a *Agent) forget() error {
	err := a.store.Remove(a.record.Name)
	a.publish()
	return err
}
