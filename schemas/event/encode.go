package event

// The functions of this file mirror the json tags of the structs in event.go, field by field; a test
// compares them with a marshal by those tags.

func (w *writer) data(d *Data) {
	w.openObject()
	w.text("site", d.Site)
	w.text("runtime", string(d.Runtime))
	w.optText("scope", d.Scope)
	w.optText("node", d.Node)
	w.optText("account", d.Account)
	w.optText("region", d.Region)
	w.optText("workload", d.Workload)
	w.optText("revision", d.Revision)
	w.text("observed", string(d.Observed))
	w.optText("owner", d.Owner)
	w.optMap("labels", d.Labels)
	w.optText("message", d.Message)
	w.optText("supersedes", d.Supersedes)
	w.changes(d.Changed)
	w.optList("truncated", d.Truncated)
	w.task(d.Task)
	w.cause(d.Cause)
	w.service(d.Service)
	w.deployment(d.Deployment)
	w.host(d.Host)
	w.image(d.Image)
	w.collector(d.Collector)
	w.action(d.Action)
	w.incident(d.Incident)
	w.native(d.Native)
	w.closeObject()
}

func (w *writer) task(t *Task) {
	if t == nil {
		return
	}
	w.name("task")
	w.openObject()
	w.text("id", t.ID)
	w.optText("name", t.Name)
	w.optText("run", t.Run)
	w.text("state", string(t.State))
	w.optText("previous_state", string(t.PreviousState))
	w.optText("desired_state", string(t.DesiredState))
	w.containers(t.Containers)
	w.times(&t.Times)
	w.coldStart(t.ColdStart)
	w.placement(&t.Placement)
	w.optNumber("version", t.Version)
	w.optText("started_by", t.StartedBy)
	w.optText("stop_code", t.StopCode)
	w.optText("stop_reason", t.StopReason)
	w.optNumber("cpu_units", t.CPUUnits)
	w.optNumber("memory_mib", t.MemoryMiB)
	w.when("next_start", t.NextStart)
	w.log(t.Log)
	w.closeObject()
}

func (w *writer) containers(list []Container) {
	if list == nil {
		return
	}
	w.name("containers")
	w.b = append(w.b, '[')
	for i := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.container(&list[i])
	}
	w.b = append(w.b, ']')
}

func (w *writer) container(c *Container) {
	w.openObject()
	w.optText("id", c.ID)
	w.optText("name", c.Name)
	w.optText("image", c.Image)
	w.optText("image_digest", c.ImageDigest)
	if c.ExitCode != nil {
		w.number("exit_code", *c.ExitCode)
	}
	w.optText("signal", c.Signal)
	w.optFlag("oom_killed", c.OOMKilled)
	w.optText("health", c.Health)
	w.optText("health_output", c.HealthOutput)
	w.optNumber("health_failures", c.HealthFailures)
	w.optList("health_log", c.HealthLog)
	w.optText("reason", c.Reason)
	w.optNumber("restarts", c.Restarts)
	w.optText("restart_policy", c.RestartPolicy)
	if c.Essential != nil {
		w.flag("essential", *c.Essential)
	}
	w.closeObject()
}

func (w *writer) times(t *Times) {
	before := len(w.b)
	w.name("times")
	w.openObject()
	w.when("created", t.Created)
	w.when("pull_started", t.PullStarted)
	w.when("pull_stopped", t.PullStopped)
	w.when("started", t.Started)
	w.when("stopping", t.Stopping)
	w.when("stopped", t.Stopped)
	w.closeUnlessEmpty(before)
}

func (w *writer) coldStart(c *ColdStart) {
	if c == nil {
		return
	}
	w.name("cold_start")
	w.openObject()
	w.optFloat("provision_s", c.Provision)
	w.optFloat("pull_s", c.Pull)
	w.optFloat("start_s", c.Start)
	w.optFloat("total_s", c.Total)
	w.closeObject()
}

func (w *writer) placement(p *Placement) {
	before := len(w.b)
	w.name("placement")
	w.openObject()
	w.optText("launch_type", p.LaunchType)
	w.optText("capacity_provider", p.CapacityProvider)
	w.optText("zone", p.Zone)
	w.optText("instance", p.Instance)
	w.optText("platform", p.Platform)
	w.closeUnlessEmpty(before)
}

func (w *writer) log(l *Log) {
	if l == nil {
		return
	}
	w.name("log")
	w.openObject()
	w.optList("lines", l.Lines)
	w.optFlag("cut", l.Cut)
	w.optText("none", l.None)
	w.closeObject()
}

func (w *writer) cause(c *Cause) {
	if c == nil {
		return
	}
	w.name("cause")
	w.openObject()
	w.text("class", c.Class)
	w.text("confidence", string(c.Confidence))
	w.text("initiator", c.Initiator)
	w.optText("initiator_name", c.InitiatorName)
	w.flag("expected", c.Expected)
	w.text("say", c.Say)
	w.optList("evidence", c.Evidence)
	w.optText("rule", c.Rule)
	w.optText("container", c.Container)
	w.optText("token", c.Token)
	w.optText("next", c.Next)
	w.closeObject()
}

func (w *writer) collector(c *Collector) {
	if c == nil {
		return
	}
	w.name("collector")
	w.openObject()
	w.text("name", c.Name)
	w.optText("engine", c.Engine)
	w.optText("version", c.Version)
	w.when("from", c.From)
	w.when("to", c.To)
	w.optText("reason", c.Reason)
	w.optNumber("reconciled", c.Reconciled)
	w.optNumber("unknown_codes", c.UnknownCodes)
	w.optNumber("unseen_runs", c.UnseenRuns)
	w.optList("unknown", c.Unknown)
	w.optNumber("containers", c.Containers)
	w.optNumber("workloads", c.Workloads)
	w.optText("peer", c.Peer)
	w.closeObject()
}

func (w *writer) action(a *Action) {
	if a == nil {
		return
	}
	w.name("action")
	w.openObject()
	w.text("id", a.ID)
	w.text("handler", a.Handler)
	w.optText("mode", a.Mode)
	w.text("kind", a.Kind)
	w.text("reason", a.Reason)
	w.optText("rule", a.Rule)
	w.optNumber("attempt", a.Attempt)
	w.optText("budget", a.Budget)
	w.optText("run", a.Run)
	w.closeObject()
}

func (w *writer) incident(i *Incident) {
	if i == nil {
		return
	}
	w.name("incident")
	w.openObject()
	w.text("id", i.ID)
	w.text("state", i.State)
	w.number("transition", i.Transition)
	w.text("family", i.Family)
	w.text("title", i.Title)
	w.optText("reason", i.Reason)
	w.optNumber("stops", i.Stops)
	w.optNumber("restarts", i.Restarts)
	w.optNumber("flaps", i.Flaps)
	w.optList("tasks", i.Tasks)
	w.optNumber("task_count", i.TaskCount)
	w.optList("nodes", i.Nodes)
	w.optNumber("running", i.Running)
	w.optNumber("desired", i.Desired)
	w.optList("causes", i.Causes)
	w.optList("done", i.Done)
	w.optList("recent", i.Recent)
	w.when("healthy", i.Healthy)
	w.when("opened", i.Opened)
	w.when("last", i.Last)
	w.when("resolved", i.Resolved)
	w.optNumber("downtime_ms", i.DowntimeMS)
	w.optText("recovery", i.Recovery)
	w.optText("silenced", i.Silenced)
	w.optText("within", i.Within)
	w.optNumber("escalation_s", i.Escalation)
	w.closeObject()
}

func (w *writer) native(n *Native) {
	if n == nil {
		return
	}
	w.name("native")
	w.openObject()
	w.optText("action", n.Action)
	w.optText("time_nano", n.TimeNano)
	w.optText("record", n.Record)
	w.closeObject()
}
