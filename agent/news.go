package agent

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"ec2net/metadata"
)

// newsPause is the time between news of the cloud's and the next question for some. What changes meanwhile is told then.
const newsPause = time.Second

// awaitNews ends with ctx, or at once where the cloud tells nothing. A failure is no news, and the next reading finds
// out about it.
func awaitNews(ctx context.Context, cloud metadata.Source, news chan<- struct{}) {
	for failures := 0; ; {
		err := cloud.Wait(ctx)
		wait := newsPause
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return
		case err != nil:
			failures++
			wait = max(wait, metadata.Backoff(failures, err, rand.Float64()))
		default:
			failures = 0
			select {
			case news <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}
