/* saafe on this computer: replay readings, score windows, time them.
 *
 *   cc -std=c99 -O2 saafe.c saafe_check.c -o saafe_check -lm
 *   ./saafe_check replay < rows.csv      events of readings, one JSON line each; of a sensor that
 *                                        pauses for four hours: replay 14400
 *   ./saafe_check risk < windows.f32     log-odds of windows: floats in, floats out
 *   ./saafe_check time                   microseconds a window
 *
 * rows.csv is a recording of saafe with time_s: its first line names the columns, in any order;
 * others are passed over. Without it they are time_s,sensor,temperature_c,pm25_ug_m3,co2_ppm,
 * sound_db,co_ppm,humidity_pct. Sensors are numbers from 0, or names; for several compile with
 * -DSAAFE_SENSORS=4. An empty cell is missing; a line `acknowledge` clears the alarm, and a line
 * `tick,time_s` lets time go on.
 */
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "saafe.h"

#define COLUMNS 64
#define NAME 64 /* characters of a sensor's name that are looked at */

enum { TIME = SAAFE_CHANNELS, SENSOR, OTHER };
static const char *const COLUMN_NAMES[] = {/*@COLUMN_NAMES@*/, "time_s", "sensor"};

static saafe_detector detector;
static char names[SAAFE_SENSORS][NAME]; /* of sensors that have one, in order of coming */
static float window[SAAFE_STEPS][SAAFE_CHANNELS];

static void print_event(const saafe_event *e, void *context)
{
    (void)context;
    printf("{\"event\": \"%s\", \"time_s\": %.1f, ", saafe_kind_word(e->kind), e->time_s);
    if (names[e->sensor][0]) {
        printf("\"sensor\": \"%s\", ", names[e->sensor]);
    } else {
        printf("\"sensor\": %d, ", e->sensor);
    }
    if (e->kind == SAAFE_FAULT || e->kind == SAAFE_RESTORED) {
        printf("\"channel\": \"%s\", \"reason\": \"%s\"}\n", saafe_channel_word(e->channel),
               saafe_cause_word(e->cause));
    } else {
        printf("\"risk\": %.1f, \"cause\": \"%s\"}\n", e->risk, saafe_cause_word(e->cause));
    }
    fflush(stdout);
}

/* The next cell of a row, ended; NULL after the last. */
static char *cell_of(char **rest)
{
    char *cell = *rest, *end;
    if (!cell) {
        return NULL;
    }
    end = strpbrk(cell, ",\r\n");
    *rest = end && *end == ',' ? end + 1 : NULL;
    if (end) {
        *end = '\0';
    }
    return cell;
}

/* What each column is, from the line that names them; false where it names no time. */
static bool read_header(char *line, int columns[COLUMNS])
{
    char *rest = line, *cell = line;
    bool has_time = false;
    for (int c = 0; c < COLUMNS; c++) {
        columns[c] = OTHER;
    }
    for (int c = 0; c < COLUMNS && (cell = cell_of(&rest)); c++) {
        for (int k = 0; k < OTHER; k++) {
            columns[c] = strcmp(cell, COLUMN_NAMES[k]) ? columns[c] : k;
        }
        has_time = has_time || columns[c] == TIME;
    }
    return has_time;
}

/* The number of a sensor by what its cell says; SAAFE_SENSORS where there is no room for it. */
static int sensor_of(const char *cell)
{
    char name[NAME], *end;
    long number = strtol(cell, &end, 10);
    size_t length = 0;
    if (!*end) { /* an empty cell is sensor 0 */
        return number >= 0 && number < SAAFE_SENSORS ? (int)number : SAAFE_SENSORS;
    }
    for (; cell[length] && length < NAME - 1; length++) {
        char sign = cell[length];
        name[length] = (unsigned char)sign < ' ' || sign == '"' || sign == '\\' ? '_' : sign;
    }
    name[length] = '\0';
    for (int s = 0; s < SAAFE_SENSORS; s++) {
        if (!names[s][0]) {
            strcpy(names[s], name);
        }
        if (!strcmp(names[s], name)) {
            return s;
        }
    }
    return SAAFE_SENSORS;
}

static int replay(void)
{
    static char line[512];
    int columns[COLUMNS] = {TIME, SENSOR};
    long number = 0, without_room = 0;
    for (int c = 2; c < COLUMNS; c++) {
        columns[c] = c < SAAFE_CHANNELS + 2 ? c - 2 : OTHER;
    }
    while (fgets(line, sizeof line, stdin)) {
        float readings[SAAFE_CHANNELS];
        char *rest = line, *end, *cell;
        bool is_header = !number++ && isalpha((unsigned char)line[0]) && strtod(line, &end) == 0.0
                         && end == line && strncmp(line, "tick,", 5)
                         && strncmp(line, "acknowledge", 11);
        if (is_header) {
            if (!read_header(line, columns)) {
                fprintf(stderr, "line 1: names no time_s; allowed: a recording of saafe\n");
                return 1;
            }
            continue;
        }
        cell = cell_of(&rest);
        if (!strcmp(cell, "acknowledge")) {
            saafe_acknowledge(&detector);
            continue;
        }
        if (!strcmp(cell, "tick")) {
            cell = cell_of(&rest);
            saafe_tick(&detector, cell ? strtod(cell, NULL) : NAN);
            continue;
        }
        double time_s = NAN;
        int sensor = 0;
        for (int c = 0; c < SAAFE_CHANNELS; c++) {
            readings[c] = NAN;
        }
        for (int c = 0; cell && c < COLUMNS; c++, cell = cell_of(&rest)) {
            if (columns[c] < SAAFE_CHANNELS && *cell) {
                float value = strtof(cell, &end);
                readings[columns[c]] = *end ? NAN : value;
            } else if (columns[c] == TIME && *cell) {
                time_s = strtod(cell, &end);
                time_s = *end ? NAN : time_s;
            } else if (columns[c] == SENSOR) {
                sensor = sensor_of(cell);
            }
        }
        if (isnan(time_s)) {
            fprintf(stderr, "line %ld: no time; left out\n", number);
        } else if (saafe_update(&detector, time_s, sensor, readings)) {
            continue;
        } else if (sensor < SAAFE_SENSORS) {
            fprintf(stderr, "line %ld: time_s is beyond 300 years; left out: give seconds\n",
                    number);
        } else if (!without_room++) {
            fprintf(stderr, "line %ld: one more sensor than this was compiled for; left out: "
                    "give cc -DSAAFE_SENSORS=%d or more\n", number, SAAFE_SENSORS + 1);
        }
    }
    if (without_room > 1) {
        fprintf(stderr, "%ld rows of such sensors were left out\n", without_room);
    }
    saafe_finish(&detector);
    return 0;
}

static int score_windows(void)
{
    while (fread(window, sizeof window, 1, stdin) == 1) {
        float odds = saafe_log_odds(window);
        if (fwrite(&odds, sizeof odds, 1, stdout) != 1) {
            return 1;
        }
    }
    return 0;
}

static int time_windows(void)
{
    const int count = 300;
    float sum = 0.0f;
    for (int t = 0; t < SAAFE_STEPS; t++) {
        for (int c = 0; c < SAAFE_CHANNELS; c++) {
            window[t][c] = 20.0f + (float)((t * 7 + c) % 5);
        }
    }
    clock_t began = clock();
    for (int k = 0; k < count; k++) {
        window[0][0] += 0.01f; /* so that nothing is computed once for all */
        sum += saafe_log_odds(window);
    }
    double us = 1e6 * (double)(clock() - began) / (double)CLOCKS_PER_SEC / count;
    fprintf(stderr, "log-odds %g in the mean\n", (double)sum / count);
    printf("%.1f\n", us);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    double longest_s = argc > 2 ? strtod(argv[2], NULL) : 0.0;
    saafe_init(&detector, print_event, NULL, longest_s);
    if (!strcmp(what, "replay")) {
        return replay();
    }
    if (!strcmp(what, "risk")) {
        return score_windows();
    }
    if (!strcmp(what, "time")) {
        return time_windows();
    }
    fprintf(stderr, "usage: %s replay [LONGEST_INTERVAL_S]|risk|time\n", argv[0]);
    return 2;
}
