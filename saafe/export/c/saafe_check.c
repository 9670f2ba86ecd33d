/* saafe on this computer: replay readings, score windows, time them.
 *
 *   cc -std=c99 -O2 saafe.c saafe_check.c -o saafe_check -lm
 *   ./saafe_check replay < rows.csv      events of readings, one JSON line each
 *   ./saafe_check risk < windows.f32     log-odds of windows: floats in, floats out
 *   ./saafe_check time                   microseconds a window
 *
 * Rows are time_s,sensor,temperature_c,pm25_ug_m3,co2_ppm,sound_db,co_ppm,humidity_pct; sensors
 * are numbers from 0, an empty cell is missing; a line `acknowledge` clears the alarm, and a line
 * `tick,time_s` lets time go on. A first line of names is skipped.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "saafe.h"

static saafe_detector detector;
static float window[SAAFE_STEPS][SAAFE_CHANNELS];

static void print_event(const saafe_event *e, void *context)
{
    (void)context;
    printf("{\"event\": \"%s\", \"time_s\": %.1f, \"sensor\": %d, ", saafe_kind_word(e->kind),
           e->time_s, e->sensor);
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

static int replay(void)
{
    static char line[512];
    long number = 0;
    while (fgets(line, sizeof line, stdin)) {
        float readings[SAAFE_CHANNELS];
        char *rest = line, *end, *cell = cell_of(&rest);
        number++;
        if (!strcmp(cell, "acknowledge")) {
            saafe_acknowledge(&detector);
            continue;
        }
        if (!strcmp(cell, "tick")) {
            cell = cell_of(&rest);
            saafe_tick(&detector, cell ? strtod(cell, NULL) : NAN);
            continue;
        }
        double time_s = strtod(cell, &end);
        if (end == cell || *end) {
            if (number > 1 && *cell) {
                fprintf(stderr, "line %ld: %s is no time; left out\n", number, cell);
            }
            continue;
        }
        cell = cell_of(&rest);
        int sensor = cell && *cell ? atoi(cell) : 0;
        for (int c = 0; c < SAAFE_CHANNELS; c++) {
            cell = cell_of(&rest);
            float value = cell && *cell ? strtof(cell, &end) : NAN;
            readings[c] = cell && *cell && *end ? NAN : value;
        }
        if (!saafe_update(&detector, time_s, sensor, readings)) {
            fprintf(stderr, "line %ld: no sensor %d; SAAFE_SENSORS is %d\n", number, sensor,
                    SAAFE_SENSORS);
        }
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
    const char *what = argc == 2 ? argv[1] : "";
    saafe_init(&detector, print_event, NULL, 0.0);
    if (!strcmp(what, "replay")) {
        return replay();
    }
    if (!strcmp(what, "risk")) {
        return score_windows();
    }
    if (!strcmp(what, "time")) {
        return time_windows();
    }
    fprintf(stderr, "usage: %s replay|risk|time\n", argv[0]);
    return 2;
}
