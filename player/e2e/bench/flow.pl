# Writes coloured log lines at a rate: perl flow.pl BYTES_PER_SECOND SECONDS
use strict;
use warnings;
use Time::HiRes qw(time sleep);

$| = 1;
my ($rate, $seconds) = @ARGV;
my ($line, $sent, $start) = (0, 0, time);
while ((my $passed = time - $start) < $seconds) {
    my $due = int($rate * $passed) - $sent;
    my $out = '';
    while (length $out < $due) {
        $line++;
        $out .= sprintf "\e[2m%08d\e[0m \e[3%dmservice-%02d\e[0m request handled in %d ms, status %d, and so on\n",
            $line, 1 + $line % 7, $line % 40, $line % 900, 200 + $line % 5;
    }
    print $out;
    $sent += length $out;
    sleep 0.02;
}
print "flood over\n";
