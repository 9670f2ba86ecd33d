/* ---- What is wrong with a sensor's channels, by its own readings alone. ---- */

static double in_order[SAAFE_KEPT_INTERVALS]; /* intervals, sorted; nothing is kept in it */

static void start_intervals(saafe_intervals *v, double longest_s)
{
    v->last_s = NAN;
    v->count = v->next = 0;
    v->is_irregular = v->is_on_change = false;
    v->limit_s = fmax(SILENT_S, SILENT_INTERVALS * longest_s);
}

/* Sort the latest intervals, at most so many, the shortest first; their number. */
static int sort_latest(const saafe_intervals *v, int most)
{
    int count = v->count < most ? v->count : most;
    for (int k = 0; k < count; k++) {
        double value = v->recent[(v->next - 1 - k + 2 * SAAFE_KEPT_INTERVALS) %
                                 SAAFE_KEPT_INTERVALS];
        int at = k;
        for (; at > 0 && in_order[at - 1] > value; at--) {
            in_order[at] = in_order[at - 1];
        }
        in_order[at] = value;
    }
    return count;
}

/* Note a reading, of an upload of several rows or not: whether the first, or after long. */
static bool note_interval(saafe_intervals *v, double time_s, bool is_upload)
{
    double interval_s = time_s - v->last_s;
    v->last_s = time_s;
    if (interval_s > 0.0 && !is_upload) {
        v->recent[v->next] = interval_s;
        v->next = (v->next + 1) % SAAFE_KEPT_INTERVALS;
        v->count += v->count < SAAFE_KEPT_INTERVALS;
    }
    return isnan(interval_s) || interval_s > SILENT_S / SILENT_INTERVALS;
}

static bool is_silent(const saafe_intervals *v, double time_s, double since_s)
{
    return time_s - v->last_s > v->limit_s && time_s - since_s > v->limit_s;
}

static void renew_limit(saafe_intervals *v, double longest_interval_s)
{
    if (longest_interval_s > 0.0) {
        return;
    }
    int count = sort_latest(v, RECENT_INTERVALS);
    double usual_s = LONGEST_PERIOD_S;
    if (count) {
        usual_s = in_order[count - 1 - (count - 1 < LONGEST_RANK ? count - 1 : LONGEST_RANK)];
    } else if (isnan(v->last_s)) {
        usual_s = 0.0;
    }
    if (count == RECENT_INTERVALS) {
        v->is_irregular |= usual_s > IRREGULAR * in_order[count - 1 - RECENT_INTERVALS / 2];
    }
    bool may_be = false; /* on change */
    if (count >= TELLING_INTERVALS) {
        double median = in_order[count - 1 - count / 2];
        double near = fmax(BIN_S, NEAR_SHARE * median);
        int number = 0;
        for (int k = 0; k < count; k++) {
            number += fabs(in_order[k] - median) <= near;
        }
        v->is_on_change |= 2 * number < count;
    } else if (count) {
        may_be = count == 1 || in_order[count - 1] > REGULAR * in_order[0];
    }
    if (v->is_irregular || v->is_on_change || may_be) {
        usual_s = v->is_on_change || may_be ? LONGEST_PERIOD_S : 0.0;
        for (int k = 0; k < v->count; k++) {
            usual_s = fmax(usual_s, v->recent[k]);
        }
    }
    v->limit_s = fmax(SILENT_S, SILENT_INTERVALS * usual_s);
}

/* The sensor's median interval; a minute while none is known. [s] */
static double period_of(const saafe_self_test *t)
{
    int count = sort_latest(&t->intervals, SAAFE_KEPT_INTERVALS);
    if (!count) {
        return UNKNOWN_PERIOD_S;
    }
    return (in_order[(count - 1) / 2] + in_order[count / 2]) / 2.0;
}

static void start_test(saafe_self_test *t, double longest_s)
{
    memset(t, 0, sizeof *t);
    start_intervals(&t->intervals, longest_s);
    for (int c = 0; c < CHANNELS; c++) {
        saafe_channel_test *one = &t->channels[c];
        start_intervals(&one->intervals, longest_s);
        one->value = one->since_s = one->before = one->last = NAN;
        one->seen_s = -INFINITY;
        one->lowest = one->floor = one->lowest_floor = INFINITY;
        one->highest = -INFINITY;
    }
    t->own_s = t->began_s = INFINITY;
    t->back_s = -INFINITY;
    t->first_s = NAN;
}

/* Whether the channel is stuck or saturated with a reading, else SAAFE_NOTHING. */
static saafe_cause held_reason(saafe_channel_test *one, int c, double time_s, double value)
{
    bool after_gap = time_s - one->seen_s > SILENT_S;
    one->seen_s = time_s;
    if (value != one->value) {
        if (!after_gap) {
            if (time_s - one->since_s > one->longest_s) {
                one->longest_s = time_s - one->since_s;
            }
            one->runs++;
        }
        one->value = value;
        one->since_s = time_s;
        one->lowest = fmin(one->lowest, value);
        one->highest = fmax(one->highest, value);
    } else if (after_gap) {
        one->since_s = time_s;
    }
    double held_s = time_s - one->since_s;
    if (held_s < STUCK_S || one->runs < USUAL_RUNS || held_s < STUCK_HOLDS * one->longest_s) {
        return SAAFE_NOTHING;
    }
    if (value == one->highest) {
        return held_s >= SATURATED_S ? SAAFE_SATURATED : SAAFE_NOTHING;
    }
    bool rests = value == one->lowest && value >= SELF_TESTS[c].rests_from;
    return rests ? SAAFE_NOTHING : SAAFE_STUCK;
}

/* Note a row, NAN without the channel: whether it spikes. */
static bool note_spike(saafe_channel_test *one, int c, double time_s, double value)
{
    const self_test_row *limits = &SELF_TESTS[c];
    bool is_lone = false;
    one->has_jumped = false;
    if (one->last - value > limits->spike_rise) {
        bool is_first = isnan(one->before);
        double beside = fmax(one->before, value);
        is_lone = !is_first &&
                  one->last - beside > limits->spike_rise + limits->spike_share * fabs(beside);
        one->has_jumped = is_lone || is_first;
    }
    if (!isnan(value)) {
        one->before = one->last;
        one->last = value;
    }
    if (is_lone || one->is_spiking) {
        if (is_lone) {
            one->spike_s[one->next_spike] = time_s;
            one->next_spike = (one->next_spike + 1) % SAAFE_SPIKES;
            one->spikes += one->spikes < SAAFE_SPIKES;
        }
        double newest_s = one->spike_s[(one->next_spike + SAAFE_SPIKES - 1) % SAAFE_SPIKES];
        double oldest_s = one->spike_s[one->next_spike]; /* of a full ring */
        if (one->spikes == SAAFE_SPIKES && oldest_s >= time_s - SPIKE_SPAN_S) {
            one->is_spiking = true;
        } else if (newest_s < time_s - DAY_S) {
            one->is_spiking = false;
        }
    }
    return one->is_spiking;
}

static void end_day(saafe_channel_test *one, int c)
{
    one->lowest_floor = fmin(one->lowest_floor, one->floor);
    bool is_high = one->lowest_floor + SELF_TESTS[c].drift_rise < one->floor &&
                   one->floor < INFINITY;
    one->high_days = is_high ? one->high_days + 1 : 0;
    one->is_drifting = one->high_days >= DRIFT_DAYS;
    one->floor = INFINITY;
}

/* The reasons why a row finds a channel wrong, a bit each. */
static unsigned wrong_reasons(saafe_channel_test *one, int c, double time_s, double value,
                              double back_s)
{
    bool spiking = note_spike(one, c, time_s, value);
    if (isnan(value)) {
        return is_silent(&one->intervals, time_s, back_s) ? 1u << SAAFE_MISSING : 0u;
    }
    saafe_cause held = held_reason(one, c, time_s, value);
    if (value < one->floor) {
        one->floor = value;
    }
    return (held == SAAFE_NOTHING ? 0u : 1u << held) | (spiking ? 1u << SAAFE_SPIKING : 0u) |
           (one->is_drifting ? 1u << SAAFE_DRIFT : 0u);
}

/* The reason of a channel's fault, or of the whole sensor's; SAAFE_NOTHING where it has none. */
static saafe_cause fault_of(const saafe_self_test *t, int channel)
{
    for (int k = 0; k < t->fault_count; k++) {
        if (t->faults[k].channel == channel) {
            return t->faults[k].reason;
        }
    }
    return SAAFE_NOTHING;
}

static bool begin_fault(saafe_self_test *t, int channel, saafe_cause reason)
{
    if (fault_of(t, channel) != SAAFE_NOTHING) {
        return false;
    }
    t->faults[t->fault_count].channel = channel;
    t->faults[t->fault_count++].reason = reason;
    return true;
}

static void end_fault(saafe_self_test *t, int at)
{
    t->fault_count--;
    memmove(t->faults + at, t->faults + at + 1,
            (size_t)(t->fault_count - at) * sizeof t->faults[0]);
}

/* Whether a channel has a fault with which it tells nothing of the air. */
static bool is_untold(const saafe_self_test *t, int channel)
{
    saafe_cause reason = fault_of(t, channel);
    return reason != SAAFE_NOTHING && reason != SAAFE_SPIKING && reason != SAAFE_DRIFT &&
           reason != SAAFE_JUMP;
}

static double silent_due(const saafe_self_test *t)
{
    if (fault_of(t, SAAFE_WHOLE_SENSOR) != SAAFE_NOTHING || t->began_s == INFINITY) {
        return INFINITY;
    }
    return t->intervals.last_s + t->intervals.limit_s;
}

static void note_intervals(saafe_self_test *t, double time_s, const double values[CHANNELS],
                           double own_s, double longest_s)
{
    double interval_s = time_s - t->intervals.last_s;
    bool is_upload = interval_s < UPLOAD_SHARE * (own_s - t->own_s) || own_s == t->own_s;
    t->own_s = own_s;
    bool is_due = note_interval(&t->intervals, time_s, is_upload) || t->any_long;
    for (int c = 0; c < CHANNELS; c++) {
        if (!isnan(values[c]) && note_interval(&t->channels[c].intervals, time_s, is_upload)) {
            is_due = true;
        }
    }
    if (is_due) {
        renew_limit(&t->intervals, longest_s);
        t->any_long = t->intervals.limit_s > SILENT_S;
        for (int c = 0; c < CHANNELS; c++) {
            renew_limit(&t->channels[c].intervals, longest_s);
            t->any_long |= t->channels[c].intervals.limit_s > SILENT_S;
        }
    }
}

static void end_days(saafe_self_test *t, double time_s)
{
    if (isnan(t->first_s)) {
        t->first_s = time_s;
    }
    long days = (long)floor((time_s - t->first_s) / DAY_S);
    if (days > t->days) {
        t->days = days;
        for (int c = 0; c < CHANNELS; c++) {
            end_day(&t->channels[c], c);
        }
    }
}
