/* ---- Rows in, events out. ---- */

#define LATEST_S 1e10 /* three hundred years: bins are counted in 32 bits */

static float window[SAAFE_STEPS][CHANNELS]; /* of the decision that is being taken */

static int32_t bin_of(double time_s)
{
    return (int32_t)ceil(time_s / BIN_S - 1e-9);
}

static void say(saafe_detector *d, saafe_kind kind, double time_s, int sensor, saafe_cause cause,
                int channel)
{
    saafe_event event = {time_s, 0.0, kind, cause, sensor, channel};
    if (kind == SAAFE_ALARM || kind == SAAFE_CLEAR || kind == SAAFE_WARNING) {
        event.risk = d->sensors[sensor].risk;
    }
    if (d->on_event) {
        d->on_event(&event, d->context);
    }
}

/* ---- The grid of one sensor as it grows. ---- */

static void start_stream(saafe_stream *s, int32_t first)
{
    memset(s, 0, sizeof *s);
    for (int c = 0; c < CHANNELS; c++) {
        s->open.last[c] = NAN;
        for (int k = 0; k < SAAFE_BINS; k++) {
            s->history[k][c] = NAN;
        }
    }
    s->before = s->open;
    s->bin = first;
    s->last_s = -INFINITY;
    s->is_known = true;
}

static double end_of(const saafe_stream *s)
{
    for (int c = 0; c < CHANNELS && s->is_known; c++) {
        if (s->open.counts[c]) {
            return s->bin * BIN_S;
        }
    }
    return INFINITY;
}

/* Put the open bin's value, or the held one, into the history. */
static void close_bin(saafe_stream *s, int hold_bins)
{
    for (int c = 0; c < CHANNELS; c++) {
        if (s->open.counts[c]) {
            s->open.last[c] = (float)(s->open.sums[c] / s->open.counts[c]);
            s->open.age[c] = 0;
        } else {
            s->open.age[c]++;
        }
        s->history[s->head][c] = s->open.age[c] <= hold_bins ? s->open.last[c] : NAN;
        s->open.sums[c] = 0.0;
        s->open.counts[c] = 0;
    }
    s->head = (s->head + 1) % SAAFE_BINS;
    s->bin++;
}

static void skip_to(saafe_stream *s, int32_t target, int hold_bins)
{
    if (target - s->bin > SAAFE_BINS + hold_bins) { /* a long gap leaves nothing known */
        for (int c = 0; c < CHANNELS; c++) {
            s->open.last[c] = NAN;
            for (int k = 0; k < SAAFE_BINS; k++) {
                s->history[k][c] = NAN;
            }
        }
        s->bin = target;
    }
    while (s->bin < target) {
        close_bin(s, hold_bins);
    }
}

static void add_row(saafe_stream *s, double time_s, const double values[CHANNELS], int hold_bins)
{
    int32_t target = bin_of(time_s);
    if (time_s >= s->last_s && target == s->bin - 1) { /* open the bin again that closed last */
        s->open = s->before;
        s->head = (s->head + SAAFE_BINS - 1) % SAAFE_BINS;
        s->bin--;
    }
    s->last_s = fmax(s->last_s, time_s);
    skip_to(s, target, hold_bins);
    for (int c = 0; c < CHANNELS; c++) {
        if (!isnan(values[c])) {
            s->open.sums[c] += values[c];
            s->open.counts[c]++;
        }
    }
}

/* The means that the model sees, oldest first. */
static void cut_window(const saafe_stream *s)
{
    static const int widths[SEGMENTS] = SEGMENT_BINS;
    int at = s->head, step = 0;
    for (int segment = 0; segment < SEGMENTS; segment++) {
        for (int k = 0; k < SEGMENT_STEPS; k++, step++) {
            float total[CHANNELS] = {0.0f}, number[CHANNELS] = {0.0f};
            for (int n = 0; n < widths[segment]; n++) {
                for (int c = 0; c < CHANNELS; c++) {
                    float value = s->history[at][c];
                    if (!isnan(value)) {
                        total[c] += value;
                        number[c] += 1.0f;
                    }
                }
                at = (at + 1) % SAAFE_BINS;
            }
            for (int c = 0; c < CHANNELS; c++) {
                window[step][c] = number[c] > 0.0f ? total[c] / number[c] : NAN;
            }
        }
    }
}

/* Whether two channels show a fire at the end of the window. */
static bool agrees(void)
{
    int shown = 0;
    for (int c = 0; c < CHANNELS; c++) {
        float lowest = INFINITY, newest = window[SAAFE_STEPS - 1][c];
        for (int t = SAAFE_STEPS - RECENT_STEPS; t < SAAFE_STEPS; t++) {
            if (window[t][c] < lowest) {
                lowest = window[t][c];
            }
        }
        shown += (double)(newest - lowest) >= SHOWS[c];
    }
    return shown >= 2;
}

/* ---- The space: its sensors' alarms are one incident. ---- */

static void said_alarm(saafe_detector *d, double time_s, int sensor, saafe_cause cause)
{
    saafe_sensor *s = &d->sensors[sensor];
    s->alarmed_with = 0;
    for (int c = 0; c < CHANNELS; c++) {
        saafe_cause reason = fault_of(&s->test, c);
        bool tells = reason < SAAFE_STUCK || reason > SAAFE_MISSING;
        s->alarmed_with |= !isnan(s->latest[c]) && tells ? 1u << c : 0u;
    }
    if (d->incident < 0) {
        d->incident = sensor;
        say(d, SAAFE_ALARM, time_s, sensor, cause, 0);
    }
}

static void complete_alarm(saafe_detector *d, double time_s, int sensor, saafe_cause cause)
{
    saafe_alarm *a = &d->sensors[sensor].alarm;
    a->is_alarmed = a->is_warned = true;
    a->calm.is_on = false;
    said_alarm(d, time_s, sensor, cause);
}

static void end_incident(saafe_detector *d, double time_s, saafe_cause cause)
{
    if (d->incident < 0) {
        return;
    }
    for (int k = 0; k < d->known; k++) {
        if (d->sensors[d->order[k]].alarm.is_alarmed) {
            return;
        }
    }
    int sensor = d->incident;
    d->incident = -1;
    say(d, SAAFE_CLEAR, time_s, sensor, cause, 0);
}

static double space_due(const saafe_detector *d)
{
    double due = INFINITY;
    for (int k = 0; k < d->known; k++) {
        saafe_cause cause;
        const saafe_sensor *s = &d->sensors[d->order[k]];
        due = fmin(due, fmin(silent_due(&s->test), overdue(s, &cause)));
    }
    return due;
}

/* Let time go on: what held readings and silence make true before a time, or by it. */
static void advance_space(saafe_detector *d, double until_s, bool inclusive)
{
    double due;
    while ((due = space_due(d)) < until_s || (inclusive && due == until_s && due < INFINITY)) {
        double at = d->now_s = fmax(due, d->now_s);
        for (int k = 0; k < d->known; k++) {
            saafe_cause cause;
            int sensor = d->order[k];
            saafe_sensor *s = &d->sensors[sensor];
            if (overdue(s, &cause) <= due) {
                complete_alarm(d, at, sensor, cause);
            }
            if (silent_due(&s->test) <= due) {
                begin_fault(&s->test, SAAFE_WHOLE_SENSOR, SAAFE_SILENT);
                say(d, SAAFE_FAULT, at, sensor, SAAFE_SILENT, SAAFE_WHOLE_SENSOR);
            }
        }
    }
    if (isfinite(until_s)) {
        d->now_s = fmax(d->now_s, until_s);
    }
}

static bool is_blind(const saafe_sensor *s, double time_s)
{
    if (!s->alarm.is_alarmed) {
        return false;
    }
    double since_s = s->alarm.calm.is_on ? s->alarm.calm.since_s : time_s;
    for (int c = 0; c < CHANNELS; c++) {
        if (s->alarmed_with & (1u << c)) {
            bool is_away = isnan(s->latest[c]) &&
                           s->test.channels[c].intervals.last_s < since_s - BIN_S;
            if (is_untold(&s->test, c) || is_away) {
                return true;
            }
        }
    }
    return false;
}

static bool others_warned(const saafe_detector *d, int sensor)
{
    for (int k = 0; k < d->known; k++) {
        if (d->order[k] != sensor && d->sensors[d->order[k]].alarm.is_warned) {
            return true;
        }
    }
    return false;
}

/* The faults of channels whose reading before the last one was a lone jump. */
static void say_jumps(saafe_detector *d, double time_s, int sensor)
{
    saafe_self_test *t = &d->sensors[sensor].test;
    for (int c = 0; c < CHANNELS; c++) {
        if (t->channels[c].has_jumped && begin_fault(t, c, SAAFE_JUMP)) {
            say(d, SAAFE_FAULT, time_s, sensor, SAAFE_JUMP, c);
        }
    }
}

static void decide(saafe_detector *d, double time_s, int sensor, double risk, bool agree)
{
    saafe_sensor *s = &d->sensors[sensor];
    saafe_cause cause, waiting;
    saafe_kind kind;
    if (s->began_s != s->test.began_s) {
        s->began_s = s->test.began_s;
        drop_claims(&s->alarm);
        start_rules(&s->rules);
    }
    bool was_waiting = overdue(s, &waiting) < INFINITY;
    double said_s = fmax(time_s, d->now_s);
    const saafe_stream *stream = &s->stream;
    memcpy(s->latest, stream->history[(stream->head + SAAFE_BINS - 1) % SAAFE_BINS],
           sizeof s->latest);
    s->risk = risk;
    s->late_s = said_s - time_s;
    evidence_row e = {agree, time_s < s->test.began_s + BIN_S, period_of(&s->test)};
    saafe_cause rule = apply_rules(&s->rules, time_s, s->latest[TEMPERATURE], s->latest[CO], &e,
                                   s->test.intervals.limit_s);
    bool blind = is_blind(s, time_s);
    bool says = step_alarm(&s->alarm, time_s, log_odds_of(risk), rule, &e, blind, &kind, &cause);
    if (was_waiting && !s->alarm.is_alarmed && !(overdue(s, &waiting) < INFINITY)) {
        say_jumps(d, said_s, sensor);
    }
    if (says && kind == SAAFE_ALARM) {
        said_alarm(d, said_s, sensor, cause);
    } else if (says && kind == SAAFE_CLEAR) {
        end_incident(d, said_s, cause);
    } else if (says && !others_warned(d, sensor)) {
        say(d, SAAFE_WARNING, said_s, sensor, cause, 0);
    }
}

/* Close the open bins that end at a time, and decide on them; of one sensor, or of all with -1. */
static void decide_due(saafe_detector *d, double end_s, int only)
{
    double risk[SAAFE_SENSORS] = {0.0};
    bool is_due[SAAFE_SENSORS] = {false}, agree[SAAFE_SENSORS] = {false};
    for (int k = 0; k < d->known; k++) { /* all are scored before the first is decided on */
        int sensor = d->order[k];
        saafe_stream *s = &d->sensors[sensor].stream;
        is_due[k] = only < 0 ? end_of(s) == end_s : sensor == only;
        if (is_due[k]) {
            s->before = s->open;
            close_bin(s, d->hold_bins);
            cut_window(s);
            agree[k] = agrees();
            risk[k] = saafe_percent(saafe_log_odds(window));
        }
    }
    for (int k = 0; k < d->known; k++) {
        if (is_due[k]) {
            decide(d, end_s, d->order[k], risk[k], agree[k]);
        }
    }
}

static double earliest_end(const saafe_detector *d)
{
    double end_s = INFINITY;
    for (int k = 0; k < d->known; k++) {
        end_s = fmin(end_s, end_of(&d->sensors[d->order[k]].stream));
    }
    return end_s;
}

/* Go on to a time, deciding on each bin that ends before it, or by it, as it ends. */
static void advance(saafe_detector *d, double until_s, bool inclusive)
{
    for (;;) {
        double end_s = earliest_end(d);
        if (end_s > until_s || (end_s == until_s && !inclusive)) {
            advance_space(d, until_s, inclusive);
            return;
        }
        advance_space(d, end_s, false);
        decide_due(d, end_s, -1);
    }
}

/* Note a row, by its own time: the faults that it begins and ends now. */
static void read_row(saafe_detector *d, double own_s, int sensor, const double values[CHANNELS])
{
    saafe_self_test *t = &d->sensors[sensor].test;
    double time_s = fmax(d->now_s, own_s);
    unsigned wrong[CHANNELS];
    for (int k = 0; k < t->fault_count; k++) {
        if (t->faults[k].channel == SAAFE_WHOLE_SENSOR) {
            t->back_s = time_s;
            say(d, SAAFE_RESTORED, time_s, sensor, t->faults[k].reason, SAAFE_WHOLE_SENSOR);
            end_fault(t, k);
            break;
        }
    }
    if (t->began_s == INFINITY || time_s - t->intervals.last_s > t->intervals.limit_s) {
        t->began_s = time_s;
    }
    note_intervals(t, time_s, values, fmin(own_s, time_s), d->longest_interval_s);
    end_days(t, time_s);
    for (int c = 0; c < CHANNELS; c++) {
        wrong[c] = wrong_reasons(&t->channels[c], c, time_s, values[c], t->back_s);
    }
    for (int k = 0; k < t->fault_count;) {
        saafe_fault fault = t->faults[k];
        if (!isnan(values[fault.channel]) && !(wrong[fault.channel] & (1u << fault.reason))) {
            end_fault(t, k);
            say(d, SAAFE_RESTORED, time_s, sensor, fault.reason, fault.channel);
        } else {
            k++;
        }
    }
    for (int reason = SAAFE_STUCK; reason <= SAAFE_MISSING; reason++) {
        for (int c = 0; c < CHANNELS; c++) {
            if (wrong[c] & (1u << reason) && begin_fault(t, c, (saafe_cause)reason)) {
                say(d, SAAFE_FAULT, time_s, sensor, (saafe_cause)reason, c);
            }
        }
    }
}

/* ---- What the header offers. ---- */

void saafe_init(saafe_detector *d, saafe_on_event on_event, void *context,
                double longest_interval_s)
{
    memset(d, 0, sizeof *d);
    d->on_event = on_event;
    d->context = context;
    d->longest_interval_s = fmin(longest_interval_s > 0.0 ? longest_interval_s
                                                          : LONGEST_INTERVAL_S, DAY_S);
    d->hold_bins = (int)(fmax(HOLD_S, d->longest_interval_s) / BIN_S);
    d->incident = -1;
    d->now_s = -INFINITY;
    for (int k = 0; k < SAAFE_SENSORS; k++) {
        saafe_sensor *s = &d->sensors[k];
        start_alarm(&s->alarm);
        start_rules(&s->rules);
        start_test(&s->test, d->longest_interval_s);
        s->began_s = INFINITY;
        for (int c = 0; c < CHANNELS; c++) {
            s->latest[c] = NAN;
        }
    }
}

/* A reading, or NAN and why it cannot be used; one that is missing has no reason. */
static double usable(int c, float reading, saafe_cause *why)
{
    const range_row *range = &RANGES[c];
    double value = isfinite(reading) ? (double)reading : (double)NAN;
    *why = SAAFE_NOTHING;
    if (value > range->highest && value <= range->highest + range->overshoot) {
        return range->highest;
    }
    if (value < range->lowest || value > range->highest) {
        *why = SAAFE_OUTSIDE_RANGE;
    }
    for (int k = 0; k < WRONG_VALUES; k++) {
        if (reading == WRONG[c][k]) {
            *why = SAAFE_NO_VALUE;
        }
    }
    return *why == SAAFE_NOTHING ? value : (double)NAN;
}

/* The faults of cells that cannot be used, of a row that holds nothing else where `is_empty`. */
static void refuse(saafe_detector *d, double time_s, int sensor, const saafe_cause why[CHANNELS],
                   bool is_empty)
{
    saafe_self_test *t = &d->sensors[sensor].test;
    saafe_cause first = SAAFE_NOTHING;
    int number = 0;
    for (int c = 0; c < CHANNELS; c++) {
        first = first == SAAFE_NOTHING ? why[c] : first;
        number += why[c] != SAAFE_NOTHING;
    }
    if (fault_of(t, SAAFE_WHOLE_SENSOR) != SAAFE_NOTHING) {
        return;
    }
    if (is_empty && number > 1) { /* a sensor that is away is one fault */
        begin_fault(t, SAAFE_WHOLE_SENSOR, first);
        say(d, SAAFE_FAULT, time_s, sensor, first, SAAFE_WHOLE_SENSOR);
        return;
    }
    for (int c = 0; c < CHANNELS; c++) {
        if (why[c] != SAAFE_NOTHING && begin_fault(t, c, why[c])) {
            say(d, SAAFE_FAULT, time_s, sensor, why[c], c);
        }
    }
}

bool saafe_update(saafe_detector *d, double time_s, int sensor,
                  const float readings[SAAFE_CHANNELS])
{
    double values[CHANNELS];
    saafe_cause why[CHANNELS];
    bool is_empty = true;
    if (!(fabs(time_s) < LATEST_S) || sensor < 0 || sensor >= SAAFE_SENSORS) {
        return false;
    }
    for (int c = 0; c < CHANNELS; c++) {
        values[c] = usable(c, readings[c], &why[c]);
        is_empty = is_empty && isnan(values[c]);
    }
    saafe_sensor *one = &d->sensors[sensor];
    saafe_stream *s = &one->stream;
    double earliest_s = s->is_known ? s->last_s : d->now_s - BEHIND_S;
    if (!(time_s >= fmin(earliest_s, d->now_s - LATE_S))) {
        time_s = d->now_s; /* its sensor's rows have come further, or it is far behind */
    }
    advance(d, time_s, false);
    double now_s = d->now_s;
    if (!one->is_known) {
        one->is_known = true;
        d->order[d->known++] = sensor;
    }
    if (!is_empty) {
        read_row(d, time_s, sensor, values);
    }
    refuse(d, fmax(now_s, time_s), sensor, why, is_empty);
    if (is_empty) {
        return true;
    }
    int32_t bin = bin_of(time_s);
    if (!s->is_known) {
        start_stream(s, bin);
    }
    if (bin < s->bin && time_s < s->last_s) { /* its bin is closed */
        time_s = fmax(now_s, (s->bin - 1) * BIN_S + 1e-6);
    }
    add_row(s, time_s, values, d->hold_bins);
    if (end_of(s) <= now_s) {
        decide_due(d, end_of(s), sensor);
    }
    return true;
}

void saafe_tick(saafe_detector *d, double now_s)
{
    if (fabs(now_s) < LATEST_S) {
        advance(d, now_s, true);
    }
}

double saafe_next_due(const saafe_detector *d)
{
    return fmin(space_due(d), earliest_end(d));
}

void saafe_acknowledge(saafe_detector *d)
{
    for (int k = 0; d->known && k < SAAFE_SENSORS; k++) { /* those too that come later */
        saafe_sensor *s = &d->sensors[k];
        s->alarm.is_alarmed = s->alarm.is_warned = false;
        drop_claims(&s->alarm);
        start_rules(&s->rules);
        s->alarm.hushed_until_s = d->now_s + HUSH_S;
    }
    end_incident(d, d->now_s, SAAFE_ACKNOWLEDGED);
}

void saafe_finish(saafe_detector *d)
{
    double last_s = d->now_s;
    for (int k = 0; k < d->known; k++) {
        double end_s = end_of(&d->sensors[d->order[k]].stream);
        last_s = end_s < INFINITY ? fmax(last_s, end_s) : last_s;
    }
    advance(d, last_s, true);
    for (;;) { /* the alarms that held readings complete, the earliest first */
        int first = -1;
        double first_s = INFINITY;
        saafe_cause cause, first_cause = SAAFE_NOTHING;
        for (int sensor = 0; sensor < SAAFE_SENSORS; sensor++) {
            double at = d->sensors[sensor].is_known ? overdue(&d->sensors[sensor], &cause)
                                                    : INFINITY;
            if (at < first_s || (at == first_s && at < INFINITY && cause < first_cause)) {
                first = sensor;
                first_s = at;
                first_cause = cause;
            }
        }
        if (first < 0) {
            return;
        }
        complete_alarm(d, fmax(first_s, d->now_s), first, first_cause);
    }
}

const char *saafe_kind_word(saafe_kind kind)
{
    static const char *const words[] = {"alarm", "clear", "warning", "fault", "restored"};
    return words[kind];
}

const char *saafe_cause_word(saafe_cause cause)
{
    static const char *const words[] = {
        "", "heat", "model", "rate_of_rise", "co_dose", "acknowledged", "stuck", "saturated",
        "spiking", "drift", "missing", "silent", "jump", "outside_range", "no_value"};
    return words[cause];
}

const char *saafe_channel_word(int channel)
{
    static const char *const words[CHANNELS] = CHANNEL_WORDS;
    return channel < 0 ? "all" : words[channel];
}
