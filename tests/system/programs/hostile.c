/* Tries every way out of a sandbox that is known, and says of each how it ended. Linked statically by the test that runs it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void refused(const char *what, long answer) {
    printf("%s %s\n", answer < 0 ? "refused" : "ESCAPED", what);
    fflush(stdout);
}

static void cannot_open(const char *path, int flags) {
    int descriptor = open(path, flags | O_CLOEXEC);
    char byte;
    /* What is hidden behind an empty device or directory may be opened, but says nothing. */
    long got = descriptor;
    if (descriptor >= 0 && flags == O_RDONLY) got = read(descriptor, &byte, 1) > 0 ? 0 : -1;
    refused(path, got);
}

int main(int count, char **words) {
    if (count > 1 && !strcmp(words[1], "ids")) return printf("%d %d\n", geteuid(), getegid()) < 0;
    char stack[64] = {0};
    struct iovec local = {stack, sizeof stack}, remote = {(void *)0x400000, sizeof stack};
    struct timeval now;
    int self = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

    refused("mount", syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, ""));
    refused("bind", syscall(SYS_mount, "/proc", "/mnt", "", 4096, ""));
    refused("remount", syscall(SYS_mount, "none", "/proc/sys", "", 32 | 4096, ""));
    refused("umount", syscall(SYS_umount2, "/proc/sys", 2));
    refused("pivot_root", syscall(SYS_pivot_root, ".", "."));
    refused("setns", syscall(SYS_setns, self, 0));
    refused("unshare user", syscall(SYS_unshare, CLONE_NEWUSER));
    refused("unshare mounts", syscall(SYS_unshare, CLONE_NEWNS));
    refused("clone user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    refused("clone3", syscall(435, 0, 0));
    refused("open_tree", syscall(428, AT_FDCWD, "/", 1));
    refused("fsopen", syscall(430, "tmpfs", 0));
    refused("move_mount", syscall(429, AT_FDCWD, "/", AT_FDCWD, "/mnt", 0));
    refused("mount_setattr", syscall(442, AT_FDCWD, "/", 0, stack, 32));
    refused("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, stack, 0));
    refused("bpf", syscall(SYS_bpf, 0, stack, sizeof stack));
    refused("perf_event_open", syscall(SYS_perf_event_open, stack, 0, -1, -1, 0));
    refused("io_uring_setup", syscall(425, 1, stack));
    refused("userfaultfd", syscall(SYS_userfaultfd, 0));
    refused("keyctl", syscall(SYS_keyctl, 0, -3, 1));
    refused("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3));
    refused("init_module", syscall(SYS_init_module, stack, sizeof stack, ""));
    refused("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0));
    refused("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0x89abcdef, 0));
    refused("syslog", syscall(SYS_syslog, 3, stack, sizeof stack));
    refused("swapon", syscall(SYS_swapon, "/etc/passwd", 0));
    refused("acct", syscall(SYS_acct, "/tmp/acct"));
    gettimeofday(&now, 0);
    refused("settimeofday", syscall(SYS_settimeofday, &now, 0));
    refused("a call of the future", syscall(900));
#ifdef __x86_64__
    refused("iopl", syscall(SYS_iopl, 3));
    refused("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
    refused("mount in its x32 form", syscall(0x40000000 + SYS_mount, "none", "/mnt", "tmpfs", 0, ""));
    long answer;
    __asm__ volatile("int $0x80" : "=a"(answer) : "a"(310), "b"(CLONE_NEWUSER) : "memory");
    refused("unshare in its 32-bit form", answer);
#endif
    refused("socket to the hypervisor", socket(40, SOCK_STREAM, 0));
    refused("personality", syscall(SYS_personality, 0x0400000));
    refused("typing", ioctl(0, TIOCSTI, "x"));
    refused("typing with a dirty number", syscall(SYS_ioctl, 0, 0x100000000UL | TIOCSTI, "x"));
    refused("a device of memory", mknod("/tmp/mem", S_IFCHR | 0600, 1 << 8 | 1));
    refused("a disk", mknod("/tmp/disk", S_IFBLK | 0600, 254 << 8));
    refused("ptrace of init", ptrace(PTRACE_ATTACH, 1, 0, 0));
    refused("memory of init", process_vm_readv(1, &local, 1, &remote, 1, 0));
    kill(1, SIGKILL);
    kill(1, SIGSTOP);
    refused("nothing of the kill of init", -1);

    cannot_open("/proc/1/root", O_RDONLY | O_DIRECTORY);
    cannot_open("/proc/1/cwd/etc", O_RDONLY | O_DIRECTORY);
    cannot_open("/proc/1/exe", O_RDONLY);
    cannot_open("/proc/1/environ", O_RDONLY);
    cannot_open("/proc/1/mem", O_RDWR);
    cannot_open("/proc/1/fd/0", O_RDONLY);
    cannot_open("/proc/1/fd/3", O_RDONLY | O_DIRECTORY);
    cannot_open("/proc/1/fd/4", O_RDONLY | O_DIRECTORY);
    cannot_open("/proc/1/ns/mnt", O_RDONLY);
    cannot_open("/proc/kcore", O_RDONLY);
    cannot_open("/proc/sysrq-trigger", O_WRONLY);
    cannot_open("/proc/sys/kernel/core_pattern", O_WRONLY);
    cannot_open("/proc/sys/kernel/hostname", O_WRONLY);
    cannot_open("/proc/sys/fs/binfmt_misc/register", O_WRONLY);
    cannot_open("/proc/sys/vm/drop_caches", O_WRONLY);
    cannot_open("/proc/sys/user/max_user_namespaces", O_WRONLY);
    cannot_open("/proc/self/setgroups", O_WRONLY | O_TRUNC | O_APPEND | O_DIRECTORY);
    cannot_open("/sys/power/state", O_WRONLY);
    cannot_open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY);
    cannot_open("/sys/fs/cgroup/cgroup.procs", O_WRONLY);
    cannot_open("/sys/fs/cgroup/unified/cgroup.procs", O_WRONLY);
    cannot_open("/sys/fs/cgroup/devices/devices.allow", O_WRONLY);
    cannot_open("/sys/fs/cgroup/memory/release_agent", O_WRONLY);
    cannot_open("/dev/mem", O_RDONLY);
    cannot_open("/dev/kmsg", O_RDONLY);
    cannot_open("/dev/fuse", O_RDWR);
    cannot_open("/dev/sda", O_RDONLY);
    cannot_open("/dev/vda", O_RDONLY);

    /* Out of a root directory by changing it again: only root may, and gets nowhere. */
    struct stat here, there;
    stat("/etc/os-release", &here);
    mkdir("/tmp/jail", 0755);
    if (chroot("/tmp/jail") == 0) {
        for (int step = 0; step < 100; step++) (void)!chdir("..");
        (void)!chroot(".");
        long same = stat("/etc/os-release", &there) || (here.st_ino == there.st_ino && here.st_dev == there.st_dev);
        refused("chroot", same ? -1 : 0);
    } else {
        refused("chroot", -1);
    }

    DIR *descriptors = opendir("/proc/self/fd");
    for (struct dirent *entry; descriptors && (entry = readdir(descriptors));) {
        int number = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && number > 2 && number != self && number != dirfd(descriptors))
            printf("ESCAPED descriptor %d\n", number);
    }
    printf("seccomp %d, no new privileges %d\n", prctl(PR_GET_SECCOMP), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    puts("end");
    return 0;
}
