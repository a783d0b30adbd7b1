package metadata

import (
	"context"
	"math/rand/v2"
	"time"
)

// Patiently calls ask again, after a pause (Backoff), as long as its error says that the metadata was asked too often
// (Throttled): by others too, since the limit is the machine's. It returns ask's last error when ctx ends.
func Patiently(ctx context.Context, ask func() error) error {
	for attempt := 0; ; attempt++ {
		err := ask()
		if !Throttled(err) {
			return err
		}
		select {
		case <-time.After(Backoff(attempt, err, rand.Float64())):
		case <-ctx.Done():
			return err
		}
	}
}
