/* ---- The model: a window of raw readings in, log-odds of fire out. ---- */

/* One network works for all detectors: its memory is here. */
static struct {
    float seen[SAAFE_STEPS][FEATURES];
    float now[SUMMARY]; /* last step, onset features, base, statistics */
    float x[TOKENS][WIDTH], normed[TOKENS][WIDTH], qkv[TOKENS][3 * WIDTH];
    float hidden[TOKENS][EXPANSION * WIDTH];
    float sorted[SAAFE_STEPS];
} net;

static float level_of(int c, float reading)
{
    const scale_row *s = &SCALES[c];
    if (s->kind == LINEAR) {
        return (reading - s->centre) / s->spread;
    }
    if (s->kind == LOGARITHM) {
        return logf(fmaxf(reading, s->lowest) / s->centre) / s->spread;
    }
    return log1pf(fmaxf(reading, 0.0f) / s->spread) - s->centre;
}

/* The lower quartile over the known steps, by rank; 0 where none is known. */
static float lower_quartile(float window[SAAFE_STEPS][CHANNELS], int c)
{
    int count = 0;
    for (int t = 0; t < SAAFE_STEPS; t++) {
        if (!isnan(window[t][c])) {
            float value = net.seen[t][c];
            int at = count++;
            for (; at > 0 && net.sorted[at - 1] > value; at--) {
                net.sorted[at] = net.sorted[at - 1];
            }
            net.sorted[at] = value;
        }
    }
    return count ? net.sorted[(count - 1) / 4] : 0.0f;
}

/* Levels, departures from the lower quartile, masks; particles at the window's top. */
static void fill_features(float window[SAAFE_STEPS][CHANNELS])
{
    float top = -MISSING_LEVEL;
    for (int c = 0; c < CHANNELS; c++) {
        for (int t = 0; t < SAAFE_STEPS; t++) {
            bool known = !isnan(window[t][c]);
            net.seen[t][c] = known ? level_of(c, window[t][c]) : 0.0f;
            net.seen[t][2 * CHANNELS + c] = known ? 1.0f : 0.0f;
        }
        float base = lower_quartile(window, c);
        net.now[FEATURES + CHANNELS + c] = base;
        for (int t = 0; t < SAAFE_STEPS; t++) {
            float departure = net.seen[t][c] - base;
            if (SCALES[c].is_wide) {
                departure = asinhf(departure * SCALES[c].spread);
            }
            net.seen[t][CHANNELS + c] = net.seen[t][2 * CHANNELS + c] > 0.0f ? departure : 0.0f;
        }
    }
    for (int t = 0; t < SAAFE_STEPS; t++) {
        if (!isnan(window[t][PM25])) {
            top = fmaxf(top, net.seen[t][PM25]);
        }
    }
    for (int t = 0; t < SAAFE_STEPS; t++) {
        float below = fminf(fmaxf(top - net.seen[t][PM25], 0.0f), 10.0f);
        net.seen[t][3 * CHANNELS] = isnan(window[t][PM25]) ? 0.0f : expf(-30.0f * below);
    }
}

/* How far a channel now stands above all that it showed until a minute ago. */
static float onset_feature(int c)
{
    float before = -MISSING_LEVEL;
    for (int t = 0; t < SAAFE_STEPS - ONSET_STEPS; t++) {
        if (net.seen[t][2 * CHANNELS + c] > 0.0f) {
            before = fmaxf(before, net.seen[t][CHANNELS + c]);
        }
    }
    if (before <= -1e3f || net.seen[SAAFE_STEPS - 1][2 * CHANNELS + c] <= 0.0f) {
        return 0.0f;
    }
    return ONSET_SCALE * fmaxf(net.seen[SAAFE_STEPS - 1][CHANNELS + c] - before, 0.0f);
}

/* Mean, spread, lowest, highest, change and known share of a channel's departure in a segment. */
static void fill_statistics(int segment, int c, float *out)
{
    int first = segment * SEGMENT_STEPS;
    float sum[2] = {0.0f, 0.0f}, count[2] = {0.0f, 0.0f};
    float lowest = MISSING_LEVEL, highest = -MISSING_LEVEL, squares = 0.0f;
    for (int k = 0; k < SEGMENT_STEPS; k++) {
        int half = k / (SEGMENT_STEPS / 2);
        float departure = net.seen[first + k][CHANNELS + c];
        float known = net.seen[first + k][2 * CHANNELS + c];
        sum[half] += departure;
        count[half] += known;
        if (known > 0.0f) {
            lowest = fminf(lowest, departure);
            highest = fmaxf(highest, departure);
        }
    }
    float number = count[0] + count[1];
    float mean = (sum[0] + sum[1]) / fmaxf(number, 1.0f);
    for (int k = 0; k < SEGMENT_STEPS; k++) {
        if (net.seen[first + k][2 * CHANNELS + c] > 0.0f) {
            float off = net.seen[first + k][CHANNELS + c] - mean;
            squares += off * off;
        }
    }
    float change = sum[1] / fmaxf(count[1], 1.0f) - sum[0] / fmaxf(count[0], 1.0f);
    out[0 * CHANNELS] = mean;
    out[1 * CHANNELS] = sqrtf(squares / fmaxf(number, 1.0f) + 1e-6f) - 1e-3f;
    out[2 * CHANNELS] = number > 0.0f ? lowest : 0.0f;
    out[3 * CHANNELS] = number > 0.0f ? highest : 0.0f;
    out[4 * CHANNELS] = count[0] > 0.0f && count[1] > 0.0f ? change : 0.0f;
    out[5 * CHANNELS] = number / (float)SEGMENT_STEPS;
}

/* A dense layer: out[o] (+)= weight[o] . x + bias[o]. */
static void dense(const float *weight, const float *bias, const float *x, float *out, int in,
                  int outs, bool adds)
{
    for (int o = 0; o < outs; o++) {
        const float *row = weight + (size_t)o * (size_t)in;
        float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f; /* four chains: no sum waits for itself */
        int k = 0;
        for (; k + 3 < in; k += 4) {
            a += row[k] * x[k];
            b += row[k + 1] * x[k + 1];
            c += row[k + 2] * x[k + 2];
            d += row[k + 3] * x[k + 3];
        }
        for (; k < in; k++) {
            a += row[k] * x[k];
        }
        float sum = (a + b) + (c + d) + bias[o];
        out[o] = adds ? out[o] + sum : sum;
    }
}

static void normalise(const float *x, const float *scale, const float *bias, float *out)
{
    float mean = 0.0f, variance = 0.0f;
    for (int k = 0; k < WIDTH; k++) {
        mean += x[k];
    }
    mean /= (float)WIDTH;
    for (int k = 0; k < WIDTH; k++) {
        variance += (x[k] - mean) * (x[k] - mean);
    }
    float per = 1.0f / sqrtf(variance / (float)WIDTH + 1e-5f);
    for (int k = 0; k < WIDTH; k++) {
        out[k] = (x[k] - mean) * per * scale[k] + bias[k];
    }
}

/* Attention of all tokens to all, head by head, from net.qkv into net.normed. */
static void attend(void)
{
    const int size = WIDTH / HEADS;
    for (int h = 0; h < HEADS; h++) {
        for (int i = 0; i < TOKENS; i++) {
            float weights[TOKENS], highest = -INFINITY, total = 0.0f;
            const float *q = net.qkv[i] + h * size;
            for (int j = 0; j < TOKENS; j++) {
                const float *k = net.qkv[j] + WIDTH + h * size;
                weights[j] = 0.0f;
                for (int n = 0; n < size; n++) {
                    weights[j] += q[n] * k[n];
                }
                weights[j] /= sqrtf((float)size);
                highest = fmaxf(highest, weights[j]);
            }
            for (int j = 0; j < TOKENS; j++) {
                weights[j] = expf(weights[j] - highest);
                total += weights[j];
            }
            for (int n = 0; n < size; n++) {
                float sum = 0.0f;
                for (int j = 0; j < TOKENS; j++) {
                    sum += weights[j] * net.qkv[j][2 * WIDTH + h * size + n];
                }
                net.normed[i][h * size + n] = sum / total;
            }
        }
    }
}

/* GELU of a hidden layer. */
static void bend(float *hidden)
{
    for (int k = 0; k < EXPANSION * WIDTH; k++) {
        hidden[k] *= 0.5f * (1.0f + erff(hidden[k] * 0.70710678f));
    }
}

static void transform(const layer_row *layer)
{
    for (int i = 0; i < TOKENS; i++) {
        normalise(net.x[i], layer->norm_attention_weight, layer->norm_attention_bias,
                  net.normed[i]);
        dense(layer->qkv_weight, layer->qkv_bias, net.normed[i], net.qkv[i], WIDTH, 3 * WIDTH,
              false);
    }
    attend();
    for (int i = 0; i < TOKENS; i++) {
        dense(layer->project_weight, layer->project_bias, net.normed[i], net.x[i], WIDTH, WIDTH,
              true);
        normalise(net.x[i], layer->norm_mlp_weight, layer->norm_mlp_bias, net.normed[i]);
        dense(layer->widen_weight, layer->widen_bias, net.normed[i], net.hidden[i], WIDTH,
              EXPANSION * WIDTH, false);
        bend(net.hidden[i]);
        dense(layer->narrow_weight, layer->narrow_bias, net.hidden[i], net.x[i],
              EXPANSION * WIDTH, WIDTH, true);
    }
}

static float log_sum_exp(float a, float b)
{
    float highest = fmaxf(a, b);
    return highest + log1pf(expf(fminf(a, b) - highest));
}

static bool knows(int c)
{
    for (int t = 0; t < SAAFE_STEPS; t++) {
        if (net.seen[t][2 * CHANNELS + c] > 0.0f) {
            return true;
        }
    }
    return false;
}

/* a channel without any of those that would bear it out, of which a bit each is set */
static bool stands_alone(int k)
{
    static const int channels[LONE] = LONE_CHANNELS, without[LONE] = LONE_WITHOUT;
    for (int c = 0; c < CHANNELS; c++) {
        if ((without[k] >> c & 1) != 0 && knows(c)) {
            return false;
        }
    }
    return knows(channels[k]);
}

float saafe_log_odds(float window[SAAFE_STEPS][SAAFE_CHANNELS])
{
    static const float excess[LONE] = LONE_EXCESS;
    float logits[LABELS], mean[WIDTH], normed[WIDTH];
    float *onset = net.now + FEATURES, *figures = onset + 2 * CHANNELS, *wide = net.hidden[0];
    fill_features(window);
    for (int c = 0; c < CHANNELS; c++) {
        onset[c] = onset_feature(c);
        for (int s = 0; s < SEGMENTS; s++) {
            fill_statistics(s, c, figures + s * 6 * CHANNELS + c);
        }
    }
    memcpy(net.now, net.seen[SAAFE_STEPS - 1], sizeof net.seen[0]);
    for (int i = 0; i < TOKENS - 1; i++) { /* steps of a token lie one after the other */
        dense(embed_weight, embed_bias, net.seen[i * PATCH], net.x[i], PATCH * FEATURES, WIDTH,
              false);
    }
    dense(now_widen_weight, now_widen_bias, net.now, wide, SUMMARY, EXPANSION * WIDTH, false);
    bend(wide);
    dense(now_narrow_weight, now_narrow_bias, wide, net.x[TOKENS - 1], EXPANSION * WIDTH, WIDTH,
          false);
    for (int i = 0; i < TOKENS; i++) {
        for (int k = 0; k < WIDTH; k++) {
            net.x[i][k] += position[i * WIDTH + k];
        }
    }
    for (int l = 0; l < (int)(sizeof layers / sizeof layers[0]); l++) {
        transform(&layers[l]);
    }
    for (int k = 0; k < WIDTH; k++) {
        mean[k] = 0.0f;
        for (int i = 0; i < TOKENS; i++) {
            mean[k] += net.x[i][k];
        }
        mean[k] /= (float)TOKENS;
    }
    normalise(mean, norm_weight, norm_bias, normed);
    dense(head_weight, head_bias, normed, logits, WIDTH, LABELS, false);
    for (int k = 0; k < LONE; k++) {
        if (stands_alone(k)) {
            logits[FIRE] -= excess[k];
        }
    }
    return RISK_SCALE * (logits[FIRE] - log_sum_exp(logits[0], logits[1])) + RISK_SHIFT;
}

double saafe_percent(float log_odds)
{
    return 100.0 / (1.0 + exp(-(double)log_odds));
}
