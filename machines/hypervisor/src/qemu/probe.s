# A firmware of 64 KiB that proves a processor: real mode, long mode with paging, SSE, a timer's worth of loops.
.code16
start:
    ljmp $0xf000, $0xff00+low-start   # out of the 64 KiB below 4 GiB, into their copy below 1 MiB
low:
    cli
    cld
    # page tables at 0x1000 (PML4), 0x2000 (PDPT), 0x3000 (PD): identity, one page of 2 MiB and the top 1 GiB's via PDPT
    xor %ax, %ax
    mov %ax, %es
    mov $0x1000, %di
    mov $0x1800, %cx
    rep stosw
    movl $0x2003, %es:0x1000
    movl $0x3003, %es:0x2000
    movl $0x83, %es:0x3000
    mov $0x1000, %eax
    mov %eax, %cr3
    mov $0x620, %eax              # PAE, OSFXSR, OSXMMEXCPT
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %ax
    wrmsr
    mov $0x80000011, %eax
    mov %eax, %cr0
    lgdtl %cs:gdtr-start+0xff00
    ljmpl $8, $0xfff00+long-start
.code64
long:
    mov $20000000, %ecx
    pxor %xmm0, %xmm0
    mov $1, %eax
    movd %eax, %xmm1
again:
    paddd %xmm1, %xmm0
    dec %ecx
    jnz again
    movd %xmm0, %eax
    cmp $20000000, %eax
    jne dead
    mov $0x10, %al
    out %al, $0xf4
dead:
    hlt
    jmp dead
.align 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff
gdtr:
    .word 15
    .long 0xfff00+gdt-start
.org 0xf0
.code16
reset:
    jmp start
.org 0x100
