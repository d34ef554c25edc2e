/* A stand-in for libnvidia-ml.so.1 that speaks NVML's real binary interface, so that the real Python bindings load it.
 *
 * It reads the machine it pretends to be from the text file named by HEFT_FAKE_NVML, again whenever that file changes:
 *
 *   driver 580.95.05         init 18          (what nvmlInit returns; 0 is success, 18 a version mismatch)
 *   old 1                                     (a driver from before version 2 of the memory call and 3 of processes)
 *   gpu                                       (begins a GPU; the lines that follow belong to it)
 *   mig                                       (begins a slice of the GPU above)
 *   name N | uuid U | total B | used B | reserved B | utilisation P | temperature C | power mW | power_limit mW
 *   clock MHz | capability 9.0 | process PID BYTES|NA C|G | na FIELD (that reading is not supported) | error CODE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define API __attribute__((visibility("default")))
enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, DRIVER_NOT_LOADED = 9 };
enum { GPUS = 16, SLICES = 8, PROCESSES = 16, NOTHING = 48 };

typedef unsigned long long bytes;
typedef struct { unsigned pid; bytes used; unsigned gpu_instance, compute_instance; } Info;
typedef struct { Info info; char kind; } Process;
typedef struct Device {
    char name[96], uuid[96], na[256];
    bytes total, used, reserved;
    int utilisation, temperature, power, power_limit, clock, major, minor, error, processes, slices, is_slice;
    Process process[PROCESSES];
    struct Device *slice[SLICES];
} Device;
static struct { char driver[80]; int init, old, count, started; Device *gpu[GPUS]; } box;
static struct timespec stamp;

static void read_process(Device *device, const char *value) {
    char amount[32], kind = 'C';
    unsigned pid;
    if (device->processes == PROCESSES || sscanf(value, "%u %31s %c", &pid, amount, &kind) < 2) return;
    Process *process = &device->process[device->processes++];
    process->info = (Info){pid, strcmp(amount, "NA") ? strtoull(amount, 0, 10) : ~0ULL, 0xFFFFFFFF, 0xFFFFFFFF};
    process->kind = kind;
}

static void read_line(Device *device, const char *key, const char *value) {
    if (!strcmp(key, "driver")) snprintf(box.driver, sizeof box.driver, "%s", value);
    else if (!strcmp(key, "init")) box.init = atoi(value);
    else if (!strcmp(key, "old")) box.old = atoi(value);
    else if (!device) return;
    else if (!strcmp(key, "name")) snprintf(device->name, sizeof device->name, "%s", value);
    else if (!strcmp(key, "uuid")) snprintf(device->uuid, sizeof device->uuid, "%s", value);
    else if (!strcmp(key, "total")) device->total = strtoull(value, 0, 10);
    else if (!strcmp(key, "used")) device->used = strtoull(value, 0, 10);
    else if (!strcmp(key, "reserved")) device->reserved = strtoull(value, 0, 10);
    else if (!strcmp(key, "utilisation")) device->utilisation = atoi(value);
    else if (!strcmp(key, "temperature")) device->temperature = atoi(value);
    else if (!strcmp(key, "power")) device->power = atoi(value);
    else if (!strcmp(key, "power_limit")) device->power_limit = atoi(value);
    else if (!strcmp(key, "clock")) device->clock = atoi(value);
    else if (!strcmp(key, "capability")) sscanf(value, "%d.%d", &device->major, &device->minor);
    else if (!strcmp(key, "error")) device->error = atoi(value);
    else if (!strcmp(key, "process")) read_process(device, value);
    else if (!strcmp(key, "na")) {
        size_t length = strlen(device->na);
        snprintf(device->na + length, sizeof device->na - length, " %s ", value);
    }
}

static void read_box(void) {
    const char *path = getenv("HEFT_FAKE_NVML");
    struct stat info;
    FILE *file;
    char line[512], key[32], value[400];
    Device *gpu = NULL, *device = NULL;
    if (!path || stat(path, &info) || !memcmp(&stamp, &info.st_mtim, sizeof stamp) || !(file = fopen(path, "r"))) return;
    stamp = info.st_mtim;
    int started = box.started;
    memset(&box, 0, sizeof box); /* devices of the reading before are left alone: a caller may hold their handles */
    box.started = started;
    while (fgets(line, sizeof line, file)) {
        value[0] = 0;
        if (sscanf(line, " %31s %399[^\n]", key, value) < 1 || key[0] == '#') continue;
        if (!strcmp(key, "gpu") && box.count < GPUS) device = gpu = box.gpu[box.count++] = calloc(1, sizeof *gpu);
        else if (!strcmp(key, "mig") && gpu && gpu->slices < SLICES) {
            device = gpu->slice[gpu->slices++] = calloc(1, sizeof *device);
            device->is_slice = 1;
        } else read_line(device, key, value);
    }
    fclose(file);
}

static int denied(Device *device, const char *field) {
    char word[NOTHING];
    if (!box.started) return UNINITIALIZED;
    if (!device) return INVALID;
    if (device->error) return device->error;
    snprintf(word, sizeof word, " %s ", field);
    return strstr(device->na, word) ? NOT_SUPPORTED : OK;
}

static int text(char *to, unsigned size, const char *from) { return snprintf(to, size, "%s", from) < (int)size ? OK : TOO_SMALL; }

API int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    stamp = (struct timespec){0};
    box.init = DRIVER_NOT_LOADED;
    read_box();
    if (box.init == OK) box.started++;
    return box.init;
}
API int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API int nvmlShutdown(void) { if (!box.started) return UNINITIALIZED; box.started--; return OK; }
API const char *nvmlErrorString(int code) { return code == OK ? "Success" : code == NOT_SUPPORTED ? "Not Supported" : "Failed"; }
API int nvmlSystemGetDriverVersion(char *to, unsigned size) { return box.started ? text(to, size, box.driver) : UNINITIALIZED; }

API int nvmlDeviceGetCount_v2(unsigned *count) {
    if (!box.started) return UNINITIALIZED;
    read_box();
    if (box.init) return box.init;
    *count = box.count;
    return OK;
}
API int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
    if (!box.started) return UNINITIALIZED;
    if (index >= (unsigned)box.count) return INVALID;
    *device = box.gpu[index];
    return (*device)->error;
}
API int nvmlDeviceGetName(Device *device, char *to, unsigned size) {
    int code = denied(device, "name");
    return code ? code : text(to, size, device->name);
}
API int nvmlDeviceGetUUID(Device *device, char *to, unsigned size) {
    int code = denied(device, "uuid");
    return code ? code : text(to, size, device->uuid);
}
API int nvmlDeviceGetCudaComputeCapability(Device *device, int *major, int *minor) {
    int code = denied(device, "capability");
    if (!code) { *major = device->major; *minor = device->minor; }
    return code;
}

typedef struct { bytes total, free, used; } Memory;
typedef struct { unsigned version; bytes total, reserved, free, used; } Memory2;
API int nvmlDeviceGetMemoryInfo(Device *device, Memory *memory) {
    int code = denied(device, "memory");
    if (!code) *memory = (Memory){device->total, device->total - device->used - device->reserved, device->used + device->reserved};
    return code;
}
API int nvmlDeviceGetMemoryInfo_v2(Device *device, Memory2 *memory) {
    int code = denied(device, "memory");
    if (box.old) return 13; /* such a driver has no function of this name */
    if (memory->version != (sizeof *memory | 2 << 24)) return 25;
    if (!code) *memory = (Memory2){memory->version, device->total, device->reserved, device->total - device->used - device->reserved, device->used};
    return code;
}

typedef struct { unsigned gpu, memory; } Utilization;
API int nvmlDeviceGetUtilizationRates(Device *device, Utilization *rates) {
    int code = device && device->is_slice ? NOT_SUPPORTED : denied(device, "utilisation");
    if (!code) *rates = (Utilization){device->utilisation, 0};
    return code;
}
#define READING(function, field) \
    API int function(Device *device, unsigned *to) { \
        int code = denied(device, #field); \
        if (!code) *to = device->field; \
        return code; \
    }
READING(nvmlDeviceGetPowerUsage, power)
READING(nvmlDeviceGetEnforcedPowerLimit, power_limit)
API int nvmlDeviceGetTemperature(Device *device, int sensor, unsigned *to) {
    int code = denied(device, "temperature");
    if (!code && sensor == 0) *to = device->temperature;
    return code;
}
API int nvmlDeviceGetClockInfo(Device *device, int clock, unsigned *to) {
    int code = denied(device, "clock");
    if (!code && clock >= 0) *to = device->clock;
    return code;
}

API int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    int code = denied(device, "mig");
    if (code || device->is_slice) return code ? code : NOT_SUPPORTED;
    *current = *pending = device->slices > 0;
    return OK;
}
API int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *count) { *count = SLICES; return denied(device, "mig"); }
API int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **slice) {
    int code = denied(device, "mig");
    if (code) return code;
    if (index >= (unsigned)device->slices) return NOT_FOUND;
    *slice = device->slice[index];
    return OK;
}

static int processes(Device *device, unsigned *count, Info *to, char kind) {
    unsigned found = 0, room = *count;
    int code = denied(device, "processes");
    if (code) return code;
    for (int i = 0; i < device->processes; i++) {
        if (device->process[i].kind != kind) continue;
        if (to && found < room) to[found] = device->process[i].info;
        found++;
    }
    *count = found;
    return found > room ? TOO_SMALL : OK;
}
API int nvmlDeviceGetComputeRunningProcesses_v3(Device *d, unsigned *n, Info *to) { return box.old ? 13 : processes(d, n, to, 'C'); }
API int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *d, unsigned *n, Info *to) { return box.old ? 13 : processes(d, n, to, 'G'); }
API int nvmlDeviceGetComputeRunningProcesses_v2(Device *d, unsigned *n, Info *to) { return processes(d, n, to, 'C'); }
API int nvmlDeviceGetGraphicsRunningProcesses_v2(Device *d, unsigned *n, Info *to) { return processes(d, n, to, 'G'); }
