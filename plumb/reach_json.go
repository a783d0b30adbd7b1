package plumb

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// reachText is a Reach on disk: a map's keys are texts in JSON, and a flow is none.
type reachText struct {
	Ways     []flowWay            `json:"ways"`
	Defaults [2]Way               `json:"defaults"`
	Holders  map[netip.Addr][]int `json:"holders"`
}

type flowWay struct {
	Flow Flow `json:"flow"`
	Way  Way  `json:"way"`
}

// MarshalJSON writes down whom this host reaches, for a process that comes after one which was killed.
func (r Reach) MarshalJSON() ([]byte, error) {
	t := reachText{Defaults: r.defaults, Holders: r.holders}
	for f, w := range r.ways {
		t.Ways = append(t.Ways, flowWay{f, w})
	}
	return json.Marshal(t)
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (r *Reach) UnmarshalJSON(b []byte) error {
	var t reachText
	if err := json.Unmarshal(b, &t); err != nil {
		return fmt.Errorf("whom this host reached: %w", err)
	}
	*r = Reach{ways: map[Flow]Way{}, defaults: t.Defaults, holders: t.Holders}
	for _, w := range t.Ways {
		r.ways[w.Flow] = w.Way
	}
	return nil
}
