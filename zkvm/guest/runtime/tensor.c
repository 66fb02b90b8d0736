/* The calls of zkvm_tensor.h. Each function makes the call; where the machine does not know it, it computes what the call means. */
#include "tensor.h"

struct zkvm_tensor_cuts zkvm_tensor_cuts;

IN_C zkvm_tensor import_in_c(const zkvm_import *descriptor) {
    zkvm_tensor made = make(descriptor->vectors);
    zkvm_read_exact(lanes_at(made.handle, 0), descriptor->vectors * VECTOR_BYTES);
    return made;
}

CALL zkvm_tensor zkvm_tensor_import(const zkvm_import *descriptor) {
    uint32_t id = tensor_call(descriptor, 0, 0);
    return machine == SERVED ? (zkvm_tensor){id} : import_in_c(descriptor);
}

static void check_words(uint32_t words) {
    if (words != 1 && words != LANES) zkvm_panic("1 or 8 elements of a vector have words");
}

IN_C zkvm_tensor load_in_c(const zkvm_load *descriptor, const int32_t *numbers) {
    check_words(descriptor->words);
    zkvm_tensor made = make(descriptor->vectors);
    for (uint32_t vector = 0; vector < descriptor->vectors; vector++) {
        int16_t *lanes = lanes_at(made.handle, vector * VECTOR_BYTES);
        for (uint32_t lane = 0; lane < descriptor->words; lane++) {
            int32_t number = *numbers++;
            if (number != (int16_t)number) zkvm_panic("a number is no int16");
            lanes[lane] = (int16_t)number;
        }
    }
    return made;
}

CALL zkvm_tensor zkvm_tensor_load(const zkvm_load *descriptor, const int32_t *numbers) {
    uint32_t id = tensor_call(descriptor, 0, (uint32_t)(uintptr_t)numbers);
    return machine == SERVED ? (zkvm_tensor){id} : load_in_c(descriptor, numbers);
}

IN_C void export_in_c(const zkvm_export *descriptor, zkvm_tensor x, int32_t *numbers) {
    check_words(descriptor->words);
    if (descriptor->vectors == 0) return;
    check_operand(x, descriptor->x, (uint64_t)(descriptor->vectors - 1) * descriptor->x_stride);
    for (uint32_t vector = 0; vector < descriptor->vectors; vector++) {
        const int16_t *lanes = lanes_at(x.handle, descriptor->x + vector * descriptor->x_stride * VECTOR_BYTES);
        for (uint32_t lane = 0; lane < descriptor->words; lane++) *numbers++ = lanes[lane];
    }
}

CALL void zkvm_tensor_export(const zkvm_export *descriptor, zkvm_tensor x, int32_t *numbers) {
    tensor_call(descriptor, x.handle, (uint32_t)(uintptr_t)numbers);
    if (machine != SERVED) export_in_c(descriptor, x, numbers);
}

/* The sums of a channel for 8 positions. `w` is the channel's lane of the first tap. */
static void add_products(int64_t sums[LANES], const int16_t *x, const int16_t *w, uint32_t taps) {
    for (uint32_t lane = 0; lane < LANES; lane++) sums[lane] = 0;
    for (uint32_t tap = 0; tap < taps; tap++) {
        int32_t weight = w[tap * LANES];
        for (uint32_t lane = 0; lane < LANES; lane++) sums[lane] += x[tap * LANES + lane] * weight;
    }
}

static int16_t rescale(int64_t sum, const struct zkvm_channel *channel, int32_t low, int32_t high) {
    int64_t value = ((sum + channel->bias) * channel->multiplier + ((int64_t)1 << 31)) >> 32;
    zkvm_tensor_cuts.above += value > high;
    zkvm_tensor_cuts.below += value < low;
    return (int16_t)(value < low ? low : value > high ? high : value);
}

static void check_results(uint32_t blocks, uint32_t channels, uint32_t bounds) {
    if (channels < 1 || channels > 1u << 16) zkvm_panic("a layer has 1 to 2^16 channels");
    if ((bounds & 0xffff) > bounds >> 16) zkvm_panic("the bounds of a layer are exchanged");
    if ((uint64_t)blocks * channels >= 1u << 27) zkvm_panic("a tensor has too many vectors");
}

static int32_t low_of(uint32_t bounds) {
    return (int32_t)(bounds & 0xffff) - 32768;
}

static int32_t high_of(uint32_t bounds) {
    return (int32_t)(bounds >> 16) - 32768;
}

static void check_limit(uint64_t products, uint32_t limit) {
    if (limit == 0 || products == 0 || products > ((uint64_t)1 << 32) / limit) zkvm_panic("taps times limit is not between 1 and 2^32");
}

/* Panics unless all channels of a list have one limit, which leaves room for sums of so many products. */
static void check_channels(const struct zkvm_channel *channels, uint32_t count, uint64_t products) {
    for (uint32_t channel = 0; channel < count; channel++) {
        if (channels[channel].limit != channels[0].limit) zkvm_panic("the channels of a list have different limits");
    }
    check_limit(products, channels[0].limit);
}

static void check_linear(const zkvm_linear *layer, zkvm_tensor x, zkvm_tensor w) {
    check_results(layer->blocks, layer->channels, layer->bounds);
    if (layer->taps == 0) zkvm_panic("a layer has no taps");
    if (layer->blocks == 0) return;
    check_operand(x, layer->x, (uint64_t)(layer->blocks - 1) * layer->x_stride + layer->taps - 1);
    check_operand(w, layer->w, (uint64_t)((layer->channels - 1) / LANES) * layer->w_stride + layer->taps - 1);
}

/* The sums of a layer with these channels, rescaled. */
static zkvm_tensor rescaled(const zkvm_linear *layer, zkvm_tensor x, zkvm_tensor w, const struct zkvm_channel *channels) {
    int32_t low = low_of(layer->bounds), high = high_of(layer->bounds);
    zkvm_tensor made = make(layer->blocks * layer->channels);
    int16_t *y = lanes_at(made.handle, 0);
    for (uint32_t block = 0; block < layer->blocks; block++) {
        const int16_t *positions = lanes_at(x.handle, layer->x + block * layer->x_stride * VECTOR_BYTES);
        for (uint32_t channel = 0; channel < layer->channels; channel++, y += LANES) {
            const int16_t *weights = lanes_at(w.handle, layer->w + channel / LANES * layer->w_stride * VECTOR_BYTES);
            int64_t sums[LANES];
            add_products(sums, positions, weights + channel % LANES, layer->taps);
            for (uint32_t lane = 0; lane < LANES; lane++) y[lane] = rescale(sums[lane], channels + channel, low, high);
        }
    }
    return made;
}

IN_C zkvm_tensor linear_in_c(const zkvm_linear *layer, zkvm_tensor x, zkvm_tensor w) {
    check_linear(layer, x, w);
    const struct zkvm_channel *channels = (const struct zkvm_channel *)(uintptr_t)layer->channel_list;
    if (layer->blocks != 0) check_channels(channels, layer->channels, layer->taps);
    return rescaled(layer, x, w, channels);
}

CALL zkvm_tensor zkvm_tensor_linear(const zkvm_linear *layer, zkvm_tensor x, zkvm_tensor w) {
    uint32_t id = rescaling_call(layer, x.handle, w.handle);
    return machine == SERVED ? (zkvm_tensor){id} : linear_in_c(layer, x, w);
}

/* The channel that a vector holds. */
static struct zkvm_channel channel_in(const int16_t *lanes, uint32_t limit) {
    for (uint32_t lane = 3; lane < LANES; lane++) {
        if (lanes[lane] != 0) zkvm_panic("a channel's vector has more than three lanes");
    }
    int64_t bias = (lanes[0] + (int64_t)lanes[1] * 65536) * (int64_t)(((uint32_t)1 << 29) / limit);
    return (struct zkvm_channel){bias, lanes[2] * (int32_t)(limit >> 15), limit};
}

/* The channels that vectors hold. */
static const struct zkvm_channel *channels_in(zkvm_tensor w, uint32_t start, uint32_t count, uint32_t limit) {
    if (limit < 1u << 15 || limit > 1u << 29 || (limit & (limit - 1)) != 0) zkvm_panic("a limit that channels in vectors have not");
    check_operand(w, start, count - 1);
    struct zkvm_channel *channels = zkvm_allocate(count * sizeof *channels);
    for (uint32_t channel = 0; channel < count; channel++) channels[channel] = channel_in(lanes_at(w.handle, start + channel * VECTOR_BYTES), limit);
    return channels;
}

IN_C zkvm_tensor scaled_linear_in_c(const zkvm_scaled_linear *layer, zkvm_tensor x, zkvm_tensor w) {
    zkvm_linear same = {
        layer->operation, layer->blocks, layer->channels, layer->taps, layer->x, layer->x_stride, layer->w, layer->w_stride,
        layer->channel_list, layer->bounds,
    };
    check_linear(&same, x, w);
    check_limit(layer->taps, layer->limit);
    if (layer->blocks == 0) return rescaled(&same, x, w, 0);
    return rescaled(&same, x, w, channels_in(w, layer->channel_list, layer->channels, layer->limit));
}

CALL zkvm_tensor zkvm_tensor_scaled_linear(const zkvm_scaled_linear *layer, zkvm_tensor x, zkvm_tensor w) {
    uint32_t id = rescaling_call(layer, x.handle, w.handle);
    return machine == SERVED ? (zkvm_tensor){id} : scaled_linear_in_c(layer, x, w);
}

/* Element `place` - 1 of a tensor; place 0 is the number 0. */
static int16_t element(zkvm_tensor tensor, uint32_t place) {
    if (place == 0) return 0;
    check_operand(tensor, 0, (place - 1) / LANES);
    return lanes_at(tensor.handle, 0)[place - 1];
}

IN_C zkvm_tensor gather_in_c(const zkvm_gather *descriptor, zkvm_tensor x, zkvm_tensor y) {
    zkvm_tensor made = make(descriptor->vectors);
    int16_t *lanes = lanes_at(made.handle, 0);
    const uint32_t *places = (const uint32_t *)(uintptr_t)descriptor->pattern;
    for (uint32_t number = 0; number < descriptor->vectors * LANES; number++) {
        lanes[number] = element(places[number] >> 31 ? y : x, places[number] & 0x7fffffff);
    }
    return made;
}

CALL zkvm_tensor zkvm_tensor_gather(const zkvm_gather *descriptor, zkvm_tensor x, zkvm_tensor y) {
    uint32_t id = tensor_call(descriptor, x.handle, y.handle);
    return machine == SERVED ? (zkvm_tensor){id} : gather_in_c(descriptor, x, y);
}

static const int16_t *vector_of(zkvm_tensor x, uint32_t start, uint32_t number) {
    return lanes_at(x.handle, start + number * VECTOR_BYTES);
}

IN_C zkvm_tensor maximum_in_c(const zkvm_maximum *descriptor, zkvm_tensor x) {
    zkvm_tensor made = make(descriptor->vectors);
    if (descriptor->vectors == 0) return made;
    if (descriptor->taps == 0) zkvm_panic("a maximum of no vectors");
    check_operand(x, descriptor->x, (uint64_t)(descriptor->vectors - 1) * descriptor->x_stride + (uint64_t)(descriptor->taps - 1) * descriptor->step);
    int16_t *lanes = lanes_at(made.handle, 0);
    for (uint32_t vector = 0; vector < descriptor->vectors; vector++, lanes += LANES) {
        for (uint32_t lane = 0; lane < LANES; lane++) lanes[lane] = INT16_MIN;
        for (uint32_t tap = 0; tap < descriptor->taps; tap++) {
            const int16_t *own = vector_of(x, descriptor->x, vector * descriptor->x_stride + tap * descriptor->step);
            for (uint32_t lane = 0; lane < LANES; lane++) lanes[lane] = own[lane] > lanes[lane] ? own[lane] : lanes[lane];
        }
    }
    return made;
}

CALL zkvm_tensor zkvm_tensor_maximum(const zkvm_maximum *descriptor, zkvm_tensor x) {
    uint32_t id = tensor_call(descriptor, x.handle, 0);
    return machine == SERVED ? (zkvm_tensor){id} : maximum_in_c(descriptor, x);
}

IN_C zkvm_tensor apply_in_c(const zkvm_apply *descriptor, zkvm_tensor x) {
    zkvm_tensor made = make(descriptor->vectors);
    if (descriptor->vectors == 0) return made;
    check_operand(x, descriptor->x, (uint64_t)(descriptor->vectors - 1) * descriptor->x_stride);
    int16_t *lanes = lanes_at(made.handle, 0);
    const int16_t *function = (const int16_t *)(uintptr_t)descriptor->function;
    for (uint32_t vector = 0; vector < descriptor->vectors; vector++, lanes += LANES) {
        const int16_t *own = vector_of(x, descriptor->x, vector * descriptor->x_stride);
        for (uint32_t lane = 0; lane < LANES; lane++) lanes[lane] = function[own[lane] + 32768];
    }
    return made;
}

CALL zkvm_tensor zkvm_tensor_apply(const zkvm_apply *descriptor, zkvm_tensor x) {
    uint32_t id = tensor_call(descriptor, x.handle, 0);
    return machine == SERVED ? (zkvm_tensor){id} : apply_in_c(descriptor, x);
}

IN_C zkvm_tensor relative_in_c(const zkvm_relative *descriptor, zkvm_tensor x, zkvm_tensor w) {
    if (descriptor->channels == 0) zkvm_panic("blocks have no channels");
    if ((uint64_t)descriptor->blocks * descriptor->channels >= 1u << 27) zkvm_panic("a tensor has too many vectors");
    uint32_t vectors = descriptor->blocks * descriptor->channels;
    zkvm_tensor made = make(vectors);
    if (vectors == 0) return made;
    check_operand(x, descriptor->x, (uint64_t)(vectors - 1) * descriptor->x_stride);
    check_operand(w, descriptor->w, descriptor->blocks - 1);
    int16_t *lanes = lanes_at(made.handle, 0);
    const int16_t *function = (const int16_t *)(uintptr_t)descriptor->function;
    for (uint32_t vector = 0; vector < vectors; vector++, lanes += LANES) {
        const int16_t *own = vector_of(x, descriptor->x, vector * descriptor->x_stride);
        const int16_t *taken = vector_of(w, descriptor->w, vector / descriptor->channels);
        for (uint32_t lane = 0; lane < LANES; lane++) lanes[lane] = function[own[lane] - taken[lane] + 65535];
    }
    return made;
}

CALL zkvm_tensor zkvm_tensor_relative(const zkvm_relative *descriptor, zkvm_tensor x, zkvm_tensor w) {
    uint32_t id = tensor_call(descriptor, x.handle, w.handle);
    return machine == SERVED ? (zkvm_tensor){id} : relative_in_c(descriptor, x, w);
}

/* Panics unless an operand has the vectors that an elementwise call reads of it. */
static void check_term(zkvm_tensor tensor, uint32_t start, const zkvm_combine *call, uint32_t stride, uint32_t step) {
    check_operand(tensor, start, (uint64_t)(call->blocks - 1) * stride + (uint64_t)(call->channels - 1) * step);
}

/* Elements of x w + weight y v, where w and v are of `factors`. */
static zkvm_tensor combined(const zkvm_combine *call, zkvm_tensor x, zkvm_tensor y, zkvm_tensor factors) {
    check_results(call->blocks, call->channels, call->bounds);
    if (call->steps > (ZKVM_Y_STEPS | ZKVM_W_STEPS)) zkvm_panic("steps that mean nothing");
    zkvm_tensor made = make(call->blocks * call->channels);
    if (call->blocks == 0) return made;
    uint32_t y_step = call->steps & ZKVM_Y_STEPS, w_step = call->steps >> 1;
    check_term(x, call->x, call, call->x_stride, 1);
    check_term(y, call->y, call, call->y_stride, y_step);
    check_term(factors, call->w, call, call->w_stride, w_step);
    check_term(factors, call->v, call, call->w_stride, w_step);
    const struct zkvm_channel *channels = (const struct zkvm_channel *)(uintptr_t)call->channel_list;
    check_channels(channels, call->channels, (uint64_t)call->weight + 1);
    int16_t *lanes = lanes_at(made.handle, 0);
    for (uint32_t block = 0; block < call->blocks; block++) {
        for (uint32_t channel = 0; channel < call->channels; channel++, lanes += LANES) {
            uint32_t factor = block * call->w_stride + channel * w_step;
            const int16_t *first = vector_of(x, call->x, block * call->x_stride + channel), *w = vector_of(factors, call->w, factor);
            const int16_t *second = vector_of(y, call->y, block * call->y_stride + channel * y_step), *v = vector_of(factors, call->v, factor);
            for (uint32_t lane = 0; lane < LANES; lane++) {
                int64_t sum = first[lane] * w[lane] + (int64_t)call->weight * (second[lane] * v[lane]);
                lanes[lane] = rescale(sum, channels + channel, low_of(call->bounds), high_of(call->bounds));
            }
        }
    }
    return made;
}

/* Which operation it is the descriptor says, here as in the machine. */
IN_C zkvm_tensor combine_in_c(const zkvm_combine *descriptor, zkvm_tensor x, zkvm_tensor y) {
    int multiplies = descriptor->operation == ZKVM_TENSOR_MULTIPLY;
    return combined(descriptor, x, multiplies ? x : y, multiplies ? y : ZKVM_CONSTANT_VECTORS);
}

CALL zkvm_tensor zkvm_tensor_combine(const zkvm_combine *descriptor, zkvm_tensor x, zkvm_tensor y) {
    uint32_t id = rescaling_call(descriptor, x.handle, y.handle);
    return machine == SERVED ? (zkvm_tensor){id} : combine_in_c(descriptor, x, y);
}

zkvm_tensor zkvm_tensor_multiply(const zkvm_multiply *descriptor, zkvm_tensor x, zkvm_tensor w) {
    return zkvm_tensor_combine(descriptor, x, w);
}

enum { WINDOW_ROWS = 3, WINDOW_TAPS = 5, WINDOW_PRODUCTS = WINDOW_ROWS * WINDOW_TAPS };

static void check_depthwise(const zkvm_depthwise *call, zkvm_tensor x, zkvm_tensor w) {
    check_results(call->blocks, call->channels, call->bounds);
    if (call->windows < 1 || call->windows > 1u << 16) zkvm_panic("a channel has 1 to 2^16 windows");
    if (call->blocks % 2 != 0) zkvm_panic("blocks are made by twos");
    if (call->blocks == 0) return;
    uint32_t row = call->second_row > call->third_row ? call->second_row : call->third_row;
    uint64_t last = (uint64_t)(call->blocks + 1) * call->channels - 1 + (uint64_t)(call->windows - 1) * call->window_stride + row;
    check_operand(x, call->x, last);
    check_operand(w, call->w, (uint64_t)2 * call->windows * call->channels - 1);
}

/* Adds the products of a row of a window: `x` is the channel's block, and `step` vectors behind it the next one. */
static void add_row(int64_t sums[LANES], const int16_t *x, uint32_t step, const int16_t *weights) {
    int32_t strip[2 * LANES];
    for (uint32_t lane = 0; lane < LANES; lane++) {
        strip[lane] = x[lane];
        strip[LANES + lane] = x[step * LANES + lane];
    }
    for (uint32_t tap = 0; tap < WINDOW_TAPS; tap++) {
        for (uint32_t lane = 0; lane < LANES; lane++) sums[lane] += strip[lane + tap] * weights[tap];
    }
}

IN_C zkvm_tensor depthwise_in_c(const zkvm_depthwise *call, zkvm_tensor x, zkvm_tensor w) {
    check_depthwise(call, x, w);
    int scaled = call->operation == ZKVM_TENSOR_SCALED_DEPTHWISE;
    uint64_t products = (uint64_t)WINDOW_PRODUCTS * call->windows;
    if (scaled) check_limit(products, call->limit);
    zkvm_tensor made = make(call->blocks * call->channels);
    if (call->blocks == 0) return made;
    const struct zkvm_channel *channels = (const struct zkvm_channel *)(uintptr_t)call->channel_list;
    if (scaled) channels = channels_in(w, call->channel_list, call->channels, call->limit);
    else check_channels(channels, call->channels, products);
    const uint32_t rows[WINDOW_ROWS] = {0, call->second_row, call->third_row};
    int16_t *y = lanes_at(made.handle, 0);
    for (uint32_t number = 0; number < call->blocks * call->channels; number++, y += LANES) {
        uint32_t channel = number % call->channels;
        int64_t sums[LANES] = {0};
        for (uint32_t window = 0; window < call->windows; window++) {
            const int16_t *weights = vector_of(w, call->w, 2 * (channel * call->windows + window));
            for (uint32_t row = 0; row < WINDOW_ROWS; row++) {
                const int16_t *own = vector_of(x, call->x, number + window * call->window_stride + rows[row]);
                add_row(sums, own, call->channels, weights + row * WINDOW_TAPS);
            }
        }
        for (uint32_t lane = 0; lane < LANES; lane++) y[lane] = rescale(sums[lane], channels + channel, low_of(call->bounds), high_of(call->bounds));
    }
    return made;
}

CALL zkvm_tensor zkvm_tensor_depthwise(const zkvm_depthwise *call, zkvm_tensor x, zkvm_tensor w) {
    uint32_t id = rescaling_call(call, x.handle, w.handle);
    return machine == SERVED ? (zkvm_tensor){id} : depthwise_in_c(call, x, w);
}
