/* ---- From risk and readings to alarms of one sensor. ---- */

/* What stands behind a decision. */
typedef struct {
    bool agree, is_first;
    double period_s;
} evidence_row;

static double log_odds_of(double risk)
{
    double share = fmin(fmax(risk / 100.0, 1e-15), 1.0 - 1e-15);
    return log(share / (1.0 - share));
}

/* How long a lone reading must stand that would be believed after `for_s`. */
static double wait_of(const evidence_row *e, double for_s)
{
    bool believed = e->agree && !e->is_first;
    return believed ? for_s : fmax(for_s, e->period_s + LATE_S);
}

/* Seconds since the first decision of an unbroken run; -1 while false. */
static double hold(saafe_held *h, double time_s, bool claim)
{
    if (!claim) {
        h->is_on = false;
        return -1.0;
    }
    h->is_lone = !h->is_on || h->since_s == time_s;
    if (!h->is_on) {
        h->is_on = true;
        h->since_s = time_s;
    }
    return time_s - h->since_s;
}

static bool stands(saafe_held *h, double time_s, bool claim, double last_s, double for_s,
                   const evidence_row *e)
{
    double held_s = hold(h, time_s, claim);
    h->wait_s = wait_of(e, for_s);
    if (held_s < 0.0) {
        return false;
    }
    bool is_slow = for_s < time_s - last_s && time_s - last_s < INFINITY;
    return held_s >= for_s || (is_slow && h->wait_s <= for_s);
}

/* When the last decision's claim completes with no further reading; INFINITY if it does not. */
static double completes(const saafe_held *h, double last_s, double for_s)
{
    if (!h->is_on) {
        return INFINITY;
    }
    double at = h->since_s + (h->is_lone ? h->wait_s : for_s);
    return at > last_s ? at : INFINITY;
}

static void start_rules(saafe_rules *r)
{
    memset(r, 0, sizeof *r);
    r->before_s = r->last_s = r->last_co_s = -INFINITY;
}

static bool rises(saafe_rules *r, double time_s, double temperature_c)
{
    while (r->past_count && r->past_s[r->past_count - 1] >= time_s) {
        r->past_count--;
    }
    if (r->past_count == SAAFE_PAST) { /* cannot be: decisions are 10 s apart */
        r->past_count--;
    }
    r->past_s[r->past_count] = time_s;
    r->past_c[r->past_count++] = temperature_c;
    int drop = 0;
    while (r->past_count - drop > 1 && r->past_s[drop + 1] <= time_s - RISE_SPAN_S) {
        drop++;
    }
    r->past_count -= drop;
    memmove(r->past_s, r->past_s + drop, (size_t)r->past_count * sizeof r->past_s[0]);
    memmove(r->past_c, r->past_c + drop, (size_t)r->past_count * sizeof r->past_c[0]);
    if (!r->rising.is_on) {
        r->rise_from = r->past_c[0];
        r->rise_by = RISE_K_PER_MIN * fmax(time_s - r->past_s[0], RISE_SPAN_S) / 60.0;
    }
    return temperature_c - r->rise_from >= r->rise_by;
}

/* The rule that fires on these readings, or SAAFE_NOTHING. */
static saafe_cause apply_rules(saafe_rules *r, double time_s, double temperature_c, double co_ppm,
                               const evidence_row *e, double outage_s)
{
    saafe_cause cause = SAAFE_NOTHING;
    if (!isnan(co_ppm)) {
        if (time_s - r->last_co_s > outage_s) {
            memset(r->doses, 0, sizeof r->doses);
        }
        r->last_co_s = time_s;
        for (int k = 0; k < SAAFE_DOSES; k++) {
            if (hold(&r->doses[k], time_s, co_ppm >= DOSE_PPM[k]) >= DOSE_S[k]) {
                cause = SAAFE_CO_DOSE;
            }
        }
    }
    if (!isnan(temperature_c)) {
        if (time_s - r->last_s > outage_s) {
            memset(&r->hot, 0, sizeof r->hot);
            memset(&r->rising, 0, sizeof r->rising);
            r->past_count = 0;
            r->last_s = -INFINITY;
        }
        if (time_s > r->last_s) {
            r->before_s = r->last_s;
            r->last_s = time_s;
        }
        bool is_rising = rises(r, time_s, temperature_c);
        if (stands(&r->rising, time_s, is_rising, r->before_s, CONFIRM_S, e)) {
            cause = SAAFE_RATE_OF_RISE;
        }
        if (stands(&r->hot, time_s, temperature_c >= HEAT_C, r->before_s, CONFIRM_S, e)) {
            cause = SAAFE_HEAT;
        }
    }
    return cause;
}

static void drop_claims(saafe_alarm *a)
{
    memset(&a->fast, 0, sizeof a->fast);
    memset(&a->slow, 0, sizeof a->slow);
    memset(&a->steady, 0, sizeof a->steady);
    memset(&a->warn, 0, sizeof a->warn);
    memset(&a->calm, 0, sizeof a->calm);
    a->before_s = a->last_s = -INFINITY;
}

static void start_alarm(saafe_alarm *a)
{
    memset(a, 0, sizeof *a);
    a->hushed_until_s = -INFINITY;
    drop_claims(a);
}

/* Take one decision: true where it says something, of `kind` and `cause`. */
static bool step_alarm(saafe_alarm *a, double time_s, double odds, saafe_cause rule,
                       const evidence_row *e, bool is_blind, saafe_kind *kind, saafe_cause *cause)
{
    if (time_s > a->last_s) {
        a->before_s = a->last_s;
        a->last_s = time_s;
    }
    if (!a->is_first_known) {
        a->is_first_known = true;
        a->first_s = time_s;
    }
    bool is_warm = time_s - a->first_s >= WARM_S;
    bool persisted = stands(&a->fast, time_s, odds >= FAST && is_warm, a->before_s, FAST_S, e);
    persisted |= hold(&a->slow, time_s, odds >= SLOW) >= SLOW_S;
    persisted |= hold(&a->steady, time_s, odds >= STEADY) >= STEADY_S;
    persisted &= time_s >= a->hushed_until_s;
    bool raised = hold(&a->warn, time_s, odds >= WARN) >= SLOW_S;
    double calm = hold(&a->calm, time_s, odds < LEAVE && rule == SAAFE_NOTHING && !is_blind);
    *cause = SAAFE_MODEL;
    if (!a->is_alarmed && (persisted || rule != SAAFE_NOTHING)) {
        a->is_alarmed = a->is_warned = true;
        *kind = SAAFE_ALARM;
        *cause = persisted ? SAAFE_MODEL : rule;
        return true;
    }
    if (a->is_alarmed && calm >= CLEAR_S) {
        a->is_alarmed = a->is_warned = false;
        *kind = SAAFE_CLEAR;
        return true;
    }
    if (!a->is_warned && raised) {
        a->is_warned = true;
        *kind = SAAFE_WARNING;
        return true;
    }
    if (!a->is_alarmed && calm >= CLEAR_S) {
        a->is_warned = false;
    }
    return false;
}

/* The alarm that a held reading completes with no further one: when, INFINITY for never. */
static double overdue(const saafe_sensor *s, saafe_cause *cause)
{
    *cause = SAAFE_NOTHING;
    if (s->alarm.is_alarmed) {
        return INFINITY;
    }
    double at[3] = {completes(&s->rules.hot, s->rules.last_s, CONFIRM_S),
                    completes(&s->alarm.fast, s->alarm.last_s, FAST_S),
                    completes(&s->rules.rising, s->rules.last_s, CONFIRM_S)};
    static const saafe_cause causes[3] = {SAAFE_HEAT, SAAFE_MODEL, SAAFE_RATE_OF_RISE};
    if (at[1] < s->alarm.hushed_until_s) {
        at[1] = INFINITY;
    }
    double first_s = INFINITY;
    for (int k = 0; k < 3; k++) {
        if (at[k] < first_s) {
            first_s = at[k];
            *cause = causes[k];
        }
    }
    return first_s + s->late_s;
}
