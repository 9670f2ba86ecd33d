/* An example for an ESP32: one sensor, a reading every 10 s, a buzzer.
 *
 * With ESP-IDF: put saafe.h, saafe.c and this file into main/, and write read_sensor and buzz for
 * your parts. On a computer the same file plays an hour with a fire in it, without waiting:
 *
 *   cc -std=c99 -O2 saafe.c esp32_main.c -o esp32 -lm && ./esp32
 */
#include <math.h>
#include <stdio.h>

#include "saafe.h"

#define PERIOD_S 10.0

static saafe_detector detector; /* static: no heap, and too large for a stack */

#ifdef ESP_PLATFORM

#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

extern float read_temperature_c(void), read_pm25_ug_m3(void), read_co2_ppm(void); /* yours */
extern void buzz(int is_on);                                                      /* yours */

static double now_s(void)
{
    return (double)esp_timer_get_time() / 1e6;
}

static void wait_until(double time_s)
{
    double left_s = time_s - now_s();
    if (left_s > 0.0) {
        vTaskDelay(pdMS_TO_TICKS((unsigned)(1000.0 * left_s)));
    }
}

static void read_sensor(double time_s, float readings[SAAFE_CHANNELS])
{
    (void)time_s;
    readings[0] = read_temperature_c();
    readings[1] = read_pm25_ug_m3();
    readings[2] = read_co2_ppm(); /* the other channels stay missing */
}

#else

static double clock_s;

static double now_s(void)
{
    return clock_s;
}

static void wait_until(double time_s)
{
    clock_s = time_s;
}

static void buzz(int is_on)
{
    puts(is_on ? "buzzer on" : "buzzer off");
}

/* A quiet room, a fire from 40 minutes on, and a dead sensor after 55. */
static void read_sensor(double time_s, float readings[SAAFE_CHANNELS])
{
    float burning = time_s > 2400.0 ? (float)(time_s - 2400.0) : 0.0f;
    float wobble = 0.05f * (float)((long)(time_s / PERIOD_S) % 3);
    if (time_s > 3300.0) {
        return;
    }
    readings[0] = 21.0f + wobble + 0.1f * burning;
    readings[1] = 8.0f + 10.0f * wobble + 2.0f * burning;
    readings[2] = 600.0f + 20.0f * wobble + 5.0f * burning;
}

#endif

static void on_event(const saafe_event *e, void *context)
{
    (void)context;
    printf("%8.1f s  %s  %s\n", e->time_s, saafe_kind_word(e->kind), saafe_cause_word(e->cause));
    if (e->kind == SAAFE_ALARM) {
        buzz(1);
    } else if (e->kind == SAAFE_CLEAR) {
        buzz(0);
    }
}

static void run(double seconds)
{
    double next_s = now_s();
    saafe_init(&detector, on_event, NULL, 0.0);
    while (next_s < seconds) {
        float readings[SAAFE_CHANNELS];
        bool came = false;
        for (int c = 0; c < SAAFE_CHANNELS; c++) {
            readings[c] = NAN;
        }
        read_sensor(next_s, readings);
        for (int c = 0; c < SAAFE_CHANNELS; c++) {
            came = came || !isnan(readings[c]);
        }
        if (came) {
            saafe_update(&detector, next_s, 0, readings);
        }
        next_s += PERIOD_S;
        wait_until(next_s - 1.0); /* the bin has closed: decide now, not with the next row */
        saafe_tick(&detector, now_s());
        wait_until(next_s);
    }
}

#ifdef ESP_PLATFORM
void app_main(void)
{
    run(INFINITY);
}
#else
int main(void)
{
    run(3600.0);
    return 0;
}
#endif
