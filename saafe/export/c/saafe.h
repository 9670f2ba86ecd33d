/* saafe: a fire detector for one space, in C99 with static memory.
 *
 * Feed readings as they come with saafe_update, let time go on with saafe_tick, and take events
 * from a function of yours. The same rows give the same events as saafe.Detector in Python.
 * saafe is not a listed device: do not let it replace a smoke alarm.
 */
#ifndef SAAFE_H
#define SAAFE_H

#include <stdbool.h>
#include <stdint.h>

/*@CONSTANTS@*/
/* How many sensors watch the space; define it otherwise for more. */
#ifndef SAAFE_SENSORS
#define SAAFE_SENSORS 1
#endif

#define SAAFE_BINS 740          /* of 10 s that a window sees: 7,400 s */
#define SAAFE_STEPS 60          /* of a window: 20 of 5 min, 20 of 1 min, 20 of 10 s */
#define SAAFE_KEPT_INTERVALS 100
#define SAAFE_SPIKES 10
#define SAAFE_DOSES 3
#define SAAFE_PAST 12           /* temperatures of the last minute */
#define SAAFE_WHOLE_SENSOR (-1) /* the channel of a fault of the sensor as a whole */

typedef enum { SAAFE_ALARM, SAAFE_CLEAR, SAAFE_WARNING, SAAFE_FAULT, SAAFE_RESTORED } saafe_kind;

/* What caused an alarm, clear or warning; what is wrong in a fault, or was, where it is restored. */
typedef enum {
    SAAFE_NOTHING,
    SAAFE_HEAT, SAAFE_MODEL, SAAFE_RATE_OF_RISE, SAAFE_CO_DOSE, SAAFE_ACKNOWLEDGED,
    SAAFE_STUCK, SAAFE_SATURATED, SAAFE_SPIKING, SAAFE_DRIFT, SAAFE_MISSING, SAAFE_SILENT,
    SAAFE_JUMP, SAAFE_OUTSIDE_RANGE, SAAFE_NO_VALUE
} saafe_cause;

typedef struct {
    double time_s;     /* when it became true */
    double risk;       /* [%] of an alarm, clear or warning */
    saafe_kind kind;
    saafe_cause cause;
    int sensor;        /* 0 to SAAFE_SENSORS - 1 */
    int channel;       /* of a fault; SAAFE_WHOLE_SENSOR for all */
} saafe_event;

typedef void (*saafe_on_event)(const saafe_event *event, void *context);

/* From here to the functions: state, which nobody else needs to touch. */

typedef struct {
    bool is_on, is_lone;
    double since_s, wait_s;
} saafe_held;

typedef struct {
    double last_s, limit_s;
    double recent[SAAFE_KEPT_INTERVALS]; /* a ring */
    int count, next;
    bool is_irregular, is_on_change;
} saafe_intervals;

typedef struct {
    saafe_intervals intervals;
    double value, since_s, seen_s, longest_s, lowest, highest; /* holds */
    long runs;
    double before, last, spike_s[SAAFE_SPIKES]; /* spikes */
    int spikes, next_spike;
    bool is_spiking, has_jumped;
    double floor, lowest_floor; /* the lowest reading of each day */
    int high_days;
    bool is_drifting;
} saafe_channel_test;

typedef struct {
    int channel;
    saafe_cause reason;
} saafe_fault;

typedef struct {
    saafe_intervals intervals;
    saafe_channel_test channels[SAAFE_CHANNELS];
    saafe_fault faults[SAAFE_CHANNELS + 1]; /* in the order in which they began */
    int fault_count;
    double own_s, back_s, began_s, first_s;
    bool any_long;
    long days;
} saafe_self_test;

typedef struct {
    saafe_held hot, rising, doses[SAAFE_DOSES];
    double past_s[SAAFE_PAST], past_c[SAAFE_PAST];
    int past_count;
    double rise_from, rise_by, before_s, last_s, last_co_s;
} saafe_rules;

typedef struct {
    bool is_alarmed, is_warned, is_first_known;
    double hushed_until_s, first_s, before_s, last_s;
    saafe_held fast, slow, steady, warn, calm;
} saafe_alarm;

typedef struct {
    double sums[SAAFE_CHANNELS];
    int32_t counts[SAAFE_CHANNELS], age[SAAFE_CHANNELS];
    float last[SAAFE_CHANNELS];
} saafe_bin;

typedef struct {
    float history[SAAFE_BINS][SAAFE_CHANNELS]; /* a ring; `head` is the oldest */
    int head;
    int32_t bin; /* the one being filled */
    saafe_bin open, before;
    double last_s;
    bool is_known;
} saafe_stream;

typedef struct {
    saafe_stream stream;
    saafe_alarm alarm;
    saafe_rules rules;
    saafe_self_test test;
    double risk, began_s, late_s;
    float latest[SAAFE_CHANNELS];
    unsigned alarmed_with; /* a bit a channel */
    bool is_known;
} saafe_sensor;

typedef struct {
    saafe_sensor sensors[SAAFE_SENSORS];
    int order[SAAFE_SENSORS], known; /* sensors in the order in which rows came */
    int incident;                    /* the sensor that the alarm was said of, or -1 */
    double now_s, longest_interval_s;
    int hold_bins;
    saafe_on_event on_event;
    void *context;
} saafe_detector;

/* Start calm, with nothing seen. Events go to `on_event`, with `context`. `longest_interval_s` is
 * how long a healthy sensor may pause, for sensors that report on change, up to a day; 0: as the
 * device does that the model was trained for, else as the sensor itself usually does. One network works for all detectors of a program: do not call these
 * functions from two threads at once. */
void saafe_init(saafe_detector *d, saafe_on_event on_event, void *context,
                double longest_interval_s);

/* Take one row: seconds from any start, a sensor, and its readings, NAN where missing, in the
 * order temperature [degC], PM2.5 [ug/m3], CO2 [ppm], sound [dB], CO [ppm], humidity [%].
 * A reading that is physically impossible, or a code that sensors send in place of one (65535,
 * 85 degC of a DS18B20), counts as missing and is a fault. Returns false, and does nothing,
 * where the time is no number (or beyond 300 years) or there is no such sensor. */
bool saafe_update(saafe_detector *d, double time_s, int sensor,
                  const float readings[SAAFE_CHANNELS]);

/* Let time go on to a moment with no row: silence, and alarms that held readings complete. */
void saafe_tick(saafe_detector *d, double now_s);

/* When saafe_tick has something to do if no row comes before; INFINITY for never. [s] */
double saafe_next_due(const saafe_detector *d);

/* A person has seen to the alarm: it clears, and the model raises no other for ten minutes. */
void saafe_acknowledge(saafe_detector *d);

/* The end of a recording: close the open bins and say the last events. */
void saafe_finish(saafe_detector *d);

/* Log-odds of fire of one window of raw readings, NAN where missing, oldest step first. */
float saafe_log_odds(float window[SAAFE_STEPS][SAAFE_CHANNELS]);

/* Risk in percent of log-odds. */
double saafe_percent(float log_odds);

/* Words for JSON and logs. */
const char *saafe_kind_word(saafe_kind kind);
const char *saafe_cause_word(saafe_cause cause);
const char *saafe_channel_word(int channel);

#endif
