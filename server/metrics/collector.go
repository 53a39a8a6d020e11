// Package metrics shows one node's counters to Prometheus. It hides how the storeys below count; it guarantees that
// nothing is counted twice, as it only reads what they count anyway when it is asked, and that no metric has a
// label per group: ten thousand groups cost nothing here.
//
//	registry.MustRegister(metrics.New(host))
package metrics

import (
	"flotilla"
	"flotilla/quictransport"
	"flotilla/raft/multiraft"
	"flotilla/snapshotstream/courier"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector implements prometheus.Collector for one host. Register it; unregister it when the host is closed.
type Collector struct{ host *flotilla.Host }

// New returns the collector of host.
func New(host *flotilla.Host) *Collector { return &Collector{host: host} }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("flotilla_"+name, help, labels, nil)
}

// The metrics. Scripts rely on the names (docs/INTERFACES.md).
var (
	descUp           = describe("up", "1 while the loop runs and the log takes commits.")
	descEpoch        = describe("epoch", "The applied epoch.")
	descObserved     = describe("epoch_observed", "The highest epoch heard of.")
	descRefused      = describe("fence_refused_frames_total", "Frames refused because their epoch was over.")
	descImplausible  = describe("fence_implausible_frames_total", "Frames refused because their epoch was out of reach.")
	descTurns        = describe("turns_total", "Passes of the workers.")
	descTurnTime     = describe("turn_seconds", "Time per turn.")
	descFsyncs       = describe("log_fdatasyncs_total", "Calls of fdatasync by the log.")
	descCommits      = describe("log_commits_total", "Disk commits of the log.")
	descProposals    = describe("proposals_total", "Proposals made at this node, by outcome: applied, not_applied, unknown.", "outcome")
	descAcquired     = describe("metadata_acquisitions_total", "Acquisitions of the leadership of group 0; each raises the epoch by one.")
	descErrors       = describe("errors_total", "Failed requests by kind.", "kind")
	descSnapSent     = describe("snapshot_sent_bytes_total", "Bytes of snapshots sent.")
	descSnapDone     = describe("snapshot_installed_total", "Snapshots installed.")
	descSnapMade     = describe("snapshot_made_total", "Snapshots made here.")
	descSnapFailed   = describe("snapshot_failed_total", "Snapshots that could not be made here.")
	descScrubs       = describe("scrub_passes_total", "Passes over all files that came to their end.")
	descScrubBytes   = describe("scrub_bytes_total", "Bytes of records and states read by such passes.")
	descScrubFailed  = describe("scrub_failed_total", "Passes that ended early.")
	descScrubFound   = describe("scrub_damaged_total", "Replicas and snapshots found damaged by passes.", "part")
	descScrubLast    = describe("scrub_last_pass_seconds", "Unix time at which the last pass was done, 0 before.")
	descLed          = describe("leader_groups", "Groups led by this node.")
	descGroups       = describe("groups", "Groups with a replica here.")
	descPending      = describe("pending_groups", "Groups with callers waiting.")
	descWaiting      = describe("waiting_bytes", "Room taken by everything that waits.")
	descQuarantined  = describe("quarantined_groups", "Groups out of service on this node.")
	descFrames       = describe("transport_frames_total", "Frames between nodes.", "direction", "lane")
	descBytes        = describe("transport_bytes_total", "Bytes of frames between nodes.", "direction", "lane")
	descDropped      = describe("transport_dropped_messages_total", "Messages turned away by a full lane.", "lane")
	descPeers        = describe("transport_peers", "Peers connected now.")
	descClosed       = describe("transport_closed_total", "Ended peer connections.", "reason")
	descExpiry       = describe("certificate_expiry_seconds", "Unix time at which the node's certificate expires.")
	descSnapReceived = describe("snapshot_received_bytes_total", "Bytes of snapshots received.")
	descSnapResumed  = describe("snapshot_resumed_total", "Transfers of snapshots that went on where an earlier one had got to.")
	descSnapMoving   = describe("snapshot_transfers", "Snapshots on their way from and to this node now.", "direction")
	descSnapLeft     = describe("snapshot_transfers_left_bytes", "Bytes that those still lack at their receivers.", "direction")
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType) func(*prometheus.Desc, float64, ...string) {
		return func(d *prometheus.Desc, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
		}
	}
	gauge, count := send(prometheus.GaugeValue), send(prometheus.CounterValue)
	s := c.host.Stats()
	gauge(descEpoch, float64(s.Epoch.Applied))
	gauge(descObserved, float64(s.Epoch.Observed))
	gauge(descExpiry, float64(c.host.TLS().Current().Expires().Unix()))
	count(descSnapSent, float64(s.Snapshots.SentBytes))
	count(descSnapReceived, float64(s.Snapshots.ReceivedBytes))
	count(descSnapResumed, float64(s.Snapshots.Resumed))
	transfers(c.host.Transfers(), gauge)
	count(descFsyncs, float64(s.Log.Fdatasyncs))
	count(descCommits, float64(s.Log.Commits))
	count(descProposals, float64(s.Proposals.Applied), "applied")
	count(descProposals, float64(s.Proposals.NotApplied), "not_applied")
	count(descProposals, float64(s.Proposals.Unknown), "unknown")
	count(descScrubs, float64(s.Scrub.Passes))
	count(descScrubBytes, float64(s.Scrub.Bytes))
	count(descScrubFailed, float64(s.Scrub.Failed))
	count(descScrubFound, float64(s.Scrub.DamagedLogs), "log")
	count(descScrubFound, float64(s.Scrub.DamagedSnapshots), "snapshots")
	if at := s.Scrub.Last; at.IsZero() {
		gauge(descScrubLast, 0)
	} else {
		gauge(descScrubLast, float64(at.Unix()))
	}
	engine(&s.Engine, ch, gauge, count)
	transport(&s.Transport, gauge, count)
}

type sendFunc func(*prometheus.Desc, float64, ...string)

func transfers(moving []flotilla.Transfer, gauge sendFunc) {
	number, left := map[courier.Direction]int{}, map[courier.Direction]uint64{}
	for i := range moving {
		x := &moving[i]
		number[x.Direction]++
		left[x.Direction] += x.Total - min(x.Done, x.Total)
	}
	for _, d := range []courier.Direction{courier.In, courier.Out} {
		gauge(descSnapMoving, float64(number[d]), string(d))
		gauge(descSnapLeft, float64(left[d]), string(d))
	}
}

func engine(s *multiraft.Stats, ch chan<- prometheus.Metric, gauge, count sendFunc) {
	gauge(descUp, map[bool]float64{true: 1}[s.Up])
	count(descTurns, float64(s.Turns))
	buckets, sum := map[float64]uint64{}, uint64(0)
	for i, bound := range s.TurnBounds {
		sum += s.TurnTimes[i]
		buckets[bound.Seconds()] = sum
	}
	ch <- prometheus.MustNewConstHistogram(descTurnTime, s.Turns, s.TurnTime.Seconds(), buckets)
	count(descAcquired, float64(s.Acquisitions))
	count(descSnapMade, float64(s.SnapshotsMade))
	count(descSnapFailed, float64(s.SnapshotsFailed))
	count(descSnapDone, float64(s.SnapshotsInstalled))
	gauge(descGroups, float64(s.Groups))
	gauge(descLed, float64(s.Led))
	gauge(descPending, float64(s.Pending))
	gauge(descWaiting, float64(s.WaitingBytes))
	gauge(descQuarantined, float64(s.Quarantined))
	for code, n := range s.Errors {
		count(descErrors, float64(n), code.String())
	}
}

func transport(s *quictransport.Stats, gauge, count sendFunc) {
	count(descRefused, float64(s.FenceRefused+s.AuthorityRefused))
	count(descImplausible, float64(s.FenceImplausible))
	gauge(descPeers, float64(s.Peers))
	for name, lane := range map[string]quictransport.LaneStats{"control": s.Control, "append": s.Append, "forward": s.Forward, "snapshot": s.Snapshot} {
		count(descFrames, float64(lane.SentFrames), "out", name)
		count(descFrames, float64(lane.ReceivedFrames), "in", name)
		count(descBytes, float64(lane.SentBytes), "out", name)
		count(descBytes, float64(lane.ReceivedBytes), "in", name)
		count(descDropped, float64(lane.Dropped), name)
	}
	for reason, n := range s.Closed {
		count(descClosed, float64(n), reason.String())
	}
}
