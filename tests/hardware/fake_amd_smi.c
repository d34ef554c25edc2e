/* The few functions of AMD SMI that Heft asks for, answering from a text file; ``stubs.h``, made by the test, holds all
 * other names that the Python bindings look up. One line of the file is one GPU:
 *     name total_mb used_mb activity hotspot edge power cap clock pid:bytes ...
 * where -1 is a reading that is not supported. Layouts are those of the bindings' wrapper (packed). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stubs.h"

enum { OK = 0, NOT_SUPPORTED = 2, NO_PERMISSION = 10, MOST = 16 };
#pragma pack(push, 1)
typedef struct { uint32_t total, used, reserved[2]; } Vram;
typedef struct { uint32_t gfx, umc, mm, reserved[13]; } Activity;
typedef struct { uint64_t socket; uint32_t now, average; uint64_t volt[3]; uint32_t limit; uint8_t pad[4]; uint64_t reserved[18]; } Power;
typedef struct { uint32_t clk, min, max; uint8_t locked, sleep, pad[2]; uint32_t reserved[4]; } Clock;
typedef struct { char name[256]; uint32_t vendor; char vendor_name[256]; uint32_t subvendor; uint64_t device; uint32_t rev;
    char serial[256]; uint32_t oam, units; uint8_t pad[4]; uint64_t gfx; uint32_t subsystem, reserved[21]; } Asic;
typedef struct { char version[256], date[256], name[256]; } Driver;
typedef struct { char name[256]; uint32_t pid; uint8_t pad[4]; uint64_t mem; uint64_t gfx, enc; uint32_t engine_reserved[12];
    uint64_t gtt, cpu, vram; uint32_t memory_reserved[10]; char container[256]; uint32_t occupancy, reserved[11]; } Process;
#pragma pack(pop)
typedef struct { char name[64]; long total, used, activity, hotspot, edge, power, cap, clock; int processes; long pid[8], held[8]; } Gpu;

static Gpu gpus[MOST];
static int count;

static void read_file(void) {
    const char *path = getenv("HEFT_FAKE_AMD");
    FILE *file = path ? fopen(path, "r") : NULL;
    char text[1024];
    for (count = 0; file && count < MOST && fgets(text, sizeof text, file); count++) {
        Gpu *gpu = &gpus[count];
        int read = 0;
        sscanf(text, "%63s %ld %ld %ld %ld %ld %ld %ld %ld%n", gpu->name, &gpu->total, &gpu->used, &gpu->activity,
               &gpu->hotspot, &gpu->edge, &gpu->power, &gpu->cap, &gpu->clock, &read);
        gpu->processes = 0;
        for (char *rest = strtok(text + read, " \n"); rest && gpu->processes < 8; rest = strtok(NULL, " \n"))
            if (sscanf(rest, "%ld:%ld", &gpu->pid[gpu->processes], &gpu->held[gpu->processes]) == 2) gpu->processes++;
    }
    if (file) fclose(file);
}

int amdsmi_init(uint64_t flags) { return getenv("HEFT_FAKE_AMD_DENIED") ? NO_PERMISSION : OK; }
int amdsmi_shut_down(void) { return OK; }
int amdsmi_get_socket_handles(uint32_t *number, void **handles) {
    read_file();
    if (handles) for (uint32_t i = 0; i < *number; i++) handles[i] = &gpus[i];
    *number = count;
    return OK;
}
int amdsmi_get_processor_handles(void *socket, uint32_t *number, void **handles) {
    if (handles) handles[0] = socket;
    *number = 1;
    return OK;
}
int amdsmi_get_gpu_vram_usage(Gpu *gpu, Vram *out) {
    out->total = gpu->total; out->used = gpu->used;
    return gpu->total < 0 ? NOT_SUPPORTED : OK;
}
int amdsmi_get_gpu_activity(Gpu *gpu, Activity *out) {
    out->gfx = gpu->activity < 0 ? 0xFFFF : gpu->activity;
    return OK;
}
int amdsmi_get_power_info(Gpu *gpu, Power *out) {
    memset(out, 0, sizeof *out);
    out->now = 0xFFFF; out->average = gpu->power; out->limit = gpu->cap;
    return gpu->power < 0 ? NOT_SUPPORTED : OK;
}
int amdsmi_get_clock_info(Gpu *gpu, uint32_t kind, Clock *out) { out->clk = gpu->clock; return gpu->clock < 0 ? NOT_SUPPORTED : OK; }
int amdsmi_get_temp_metric(Gpu *gpu, uint32_t place, uint32_t metric, int64_t *out) {
    *out = place == 1 ? gpu->hotspot : gpu->edge;
    return *out < 0 ? NOT_SUPPORTED : OK;
}
int amdsmi_get_gpu_asic_info(Gpu *gpu, Asic *out) {
    memset(out, 0, sizeof *out);
    strcpy(out->name, gpu->name);
    for (char *at = out->name; *at; at++) if (*at == '_') *at = ' ';
    return OK;
}
int amdsmi_get_gpu_driver_info(Gpu *gpu, Driver *out) {
    memset(out, 0, sizeof *out);
    strcpy(out->version, "6.12.12");
    return OK;
}
int amdsmi_get_gpu_device_uuid(Gpu *gpu, uint32_t *length, char *out) {
    sprintf(out, "eeff75a0-0000-1000-8000-00000000000%d", (int)(gpu - gpus));
    return OK;
}
int amdsmi_get_gpu_process_list(Gpu *gpu, uint32_t *number, Process *out) {
    *number = gpu->processes;
    memset(out, 0, sizeof *out * gpu->processes);
    for (int i = 0; i < gpu->processes; i++) { out[i].pid = gpu->pid[i]; out[i].vram = gpu->held[i]; }
    return OK;
}
