package fencemodel

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"flotilla/catalog"
	"flotilla/epoch"
)

var (
	honest = World{Terms: 2, Entries: 3, Crashes: 2}
	lied   = World{Terms: 2, Entries: 2, Crashes: 1, Liar: true}
)

// P20, P21, P22, P24, P25, P26, P27: the real fence and the real catalog, in every state of two small worlds.
func TestEveryState(t *testing.T) {
	for name, w := range map[string]World{"honest": honest, "lied to": lied} {
		if testing.Short() {
			w.Crashes = 0
		}
		states, broken := w.Explore(Real)
		if broken != nil {
			t.Errorf("%s: %v", name, broken)
		}
		if states < 1_000 {
			t.Errorf("%s: %d states only: the world stands still", name, states)
		}
		t.Logf("%s: %d states", name, states)
	}
}

// Each rule, broken, is found, and by the property it is for.
func TestPlantedFaults(t *testing.T) {
	holder := func(wrap func(*epoch.Holder) Fence) func(*Code) {
		return func(c *Code) { c.Restart = func(saved epoch.Epoch) Fence { return wrap(epoch.NewHolder(saved)) } }
	}
	for _, f := range []struct {
		name     string
		world    World
		plant    func(*Code)
		property string
	}{
		{"older epochs are not refused", honest, holder(func(h *epoch.Holder) Fence { return noRefusal{h} }), "NothingStale"},
		{"authority by what was observed", honest, holder(func(h *epoch.Holder) Fence { return heardIsEnough{h} }), "NoStaleAuthority"},
		{"authority against what was observed", lied, holder(func(h *epoch.Holder) Fence { return heardIsNeeded{h} }), "CatchesUp"},
		{"a refusal teaches nothing", honest, holder(func(h *epoch.Holder) Fence { return deaf{h} }), "CatchesUp"},
		{"lies are believed up to the jump", lied, func(c *Code) {
			c.Restart = func(e epoch.Epoch) Fence { return &credulous{epoch.Stamp{Observed: e, Applied: e}} }
		}, "HealsInOneRoundTrip"},
		{"a term counts twice", honest, func(c *Code) { c.Save = twice }, "RisesByOne"},
		{"a bump counts in any term", honest, func(c *Code) { c.Save = anyTerm }, "RisesByOne"},
		{"epoch and index apart", honest, func(c *Code) { c.Save = apart }, "SavedTogether"},
		{"the fence before the disk", honest, func(c *Code) { c.FenceFirst = true }, "NeverFalls"},
	} {
		code := Real
		f.plant(&code)
		states, broken := f.world.Explore(code)
		if broken == nil || broken.Property != f.property {
			t.Errorf("%s: %d states, found %v, want %s", f.name, states, broken, f.property)
			continue
		}
		t.Logf("%s: %d states: %v", f.name, states, broken)
	}
}

// The specification and the exploration speak of the same properties.
func TestSpecificationAgrees(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/model/fence.pml")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(raw), "Properties, under the names")
	list, _, _ = strings.Cut(list, "scripts/model.sh runs it")
	var specified []string
	for _, m := range regexp.MustCompile(`(?m)^ \*   ([A-Z][A-Za-z]+) `).FindAllStringSubmatch(list, -1) {
		specified = append(specified, m[1])
	}
	if !slices.Equal(specified, Properties) {
		t.Errorf("fence.pml has %v, this package %v", specified, Properties)
	}
}

type noRefusal struct{ *epoch.Holder }

func (h noRefusal) Admit(s epoch.Stamp) error {
	err := h.Holder.Admit(s)
	if errors.As(err, new(*epoch.StaleError)) {
		return nil
	}
	return err
}

type heardIsEnough struct{ *epoch.Holder }

func (h heardIsEnough) AdmitAuthority(s epoch.Stamp) error { return h.Admit(s) }

type heardIsNeeded struct{ *epoch.Holder }

func (h heardIsNeeded) AdmitAuthority(s epoch.Stamp) error {
	if err := h.Admit(s); err != nil || s.Applied >= h.Observed() {
		return err
	}
	return &epoch.StaleError{Claimed: s.Applied, Current: h.Observed(), Authority: true}
}

// deaf hears all and learns nothing by it.
type deaf struct{ *epoch.Holder }

func (h deaf) Admit(s epoch.Stamp) error { return epoch.NewHolder(h.Applied()).Admit(s) }

// credulous is a fence without maxLead.
type credulous struct{ stamp epoch.Stamp }

func (c *credulous) holder() *epoch.Holder { return epoch.NewHolder(c.stamp.Applied) }

func (c *credulous) Admit(s epoch.Stamp) error {
	err := c.holder().Admit(s)
	if err == nil {
		c.stamp.Observed = max(c.stamp.Observed, s.Observed)
	}
	return err
}

func (c *credulous) AdmitAuthority(s epoch.Stamp) error { return c.holder().AdmitAuthority(s) }
func (c *credulous) Stamp() epoch.Stamp                 { return c.stamp }
func (c *credulous) Administrable() error               { return nil }
func (c *credulous) Apply(e epoch.Epoch) {
	c.stamp.Applied, c.stamp.Observed = max(c.stamp.Applied, e), max(c.stamp.Observed, e)
}

// anyTerm counts a bump in whatever term it reached the log.
func anyTerm(d Disk, c catalog.Command, torn bool) Disk {
	change, err := catalog.ParseChange(c.Data)
	if bump := change.(catalog.EpochBump); err == nil && bump.Term != 0 {
		c.Term = bump.Term
	}
	return Real.Save(d, c, torn)
}

func twice(d Disk, c catalog.Command, torn bool) Disk {
	next := Real.Save(d, c, torn)
	next.Term = 0
	return next
}

// apart saves the index in a transaction of its own, before the epoch's.
func apart(d Disk, c catalog.Command, torn bool) Disk {
	if torn {
		d.Applied = c.Index
		return d
	}
	return apply(d, c)
}
