# A guest in one sector, for tests of power and disks.
#
# It counts its boots in the disk's second sector, says `boot N` on the serial port, and then ticks. The
# power button has it say `off` and shut down. With its last-but-two byte set, it first writes a part of
# its disk full, from the first MiB on, with a dot for each 32 KiB, and says `written`.

.code16
.globl _start
.set COM1, 0x3f8
.set PM1_STATUS, 0x600
.set PM1_ENABLE, 0x602
.set PM1_CONTROL, 0x604
.set COUNT, 0x7e00

_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    sti
    movb %dl, drive
    movw $PM1_ENABLE, %dx
    movw $0x100, %ax
    outw %ax, %dx

    movb $0x42, %ah
    call disk
    incb COUNT
    movb $0x43, %ah
    call disk
    movw $said_boot, %si
    call say
    movb COUNT, %al
    addb $'0', %al
    call put
    call line

    testb $1, fills
    jz tick
    movw $64, packet + 2
    movl $2048, packet + 8
fill:
    movb $0x43, %ah
    call disk
    movb $'.', %al
    call put
    addl $64, packet + 8
    cmpl $131072, packet + 8
    jb fill
    movw $said_written, %si
    call say
    call line

tick:
    hlt
    movw $PM1_STATUS, %dx
    inw %dx, %ax
    testb $1, %ah
    jnz off
    movb $'t', %al
    call put
    jmp tick

off:
    movw $said_off, %si
    call say
    call line
    movw $PM1_CONTROL, %dx
    movw $0x2000, %ax
    outw %ax, %dx
stop:
    hlt
    jmp stop

# Reads (ah = 42) or writes (ah = 43) what the packet says.
disk:
    xorb %al, %al
    movb drive, %dl
    movw $packet, %si
    int $0x13
    jc failed
    ret
failed:
    movw $said_failed, %si
    call say
    call line
    jmp stop

say:
    lodsb
    testb %al, %al
    jz said
    call put
    jmp say
said:
    ret
line:
    movb $'\n', %al
put:
    pushw %dx
    movw $COM1, %dx
    outb %al, %dx
    popw %dx
    ret

said_boot:    .asciz "boot "
said_written: .asciz "written"
said_off:     .asciz "off"
said_failed:  .asciz "the disk failed"
drive:        .byte 0
.balign 4
packet:
    .byte 16, 0
    .word 1
    .word COUNT, 0
    .quad 1

.org 509
fills:
    .byte 0
    .word 0xaa55
