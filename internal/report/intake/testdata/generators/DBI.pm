# A database of opendmarc that holds one domain and the messages of messages.txt: it
# answers what opendmarc-reports asks, so that the program itself makes the report.
package DBI;
use strict;
use warnings;

our $errstr = '';

sub connect { return bless {}, 'DBI::db' }

package DBI::db;

sub prepare { my ($self, $query) = @_; return bless { query => $query }, 'DBI::st' }
sub disconnect { return 1 }
sub errstr { return '' }
sub do { return 1 }

package DBI::st;

my $messages;

sub messages {
	return $messages if $messages;
	open(my $in, '<', $ENV{DMARCD_MESSAGES}) or die "messages: $!";
	while (my $line = <$in>) {
		chomp $line;
		push @$messages, [split(/\t/, $line)];
	}
	return $messages;
}

# The columns of a line: id, address, disposition, From domain, envelope domain, spf,
# align_spf, align_dkim, DKIM domain, selector, DKIM result.
sub execute {
	my ($self, @args) = @_;
	my $q = $self->{query};
	my @rows;
	if ($q =~ /FROM requests JOIN domains|SELECT name FROM domains/) {
		@rows = (['example.com']);
	} elsif ($q =~ /SELECT id FROM domains/) {
		@rows = ([1]);
	} elsif ($q =~ /SELECT repuri/) {
		@rows = (['mailto:dmarc@example.com', ord('r'), ord('s'), ord('q'), 0, 100, 0, 'example.com']);
	} elsif ($q =~ /SELECT messages.id, ipaddr.addr/) {
		@rows = map { [@{$_}[0 .. 7], 1, 0] } @{ messages() };
	} elsif ($q =~ /FROM signatures/) {
		@rows = map { [@{$_}[8 .. 10]] } grep { $_->[0] == $args[0] && $_->[8] ne '' } @{ messages() };
	}
	$self->{rows} = \@rows;
	return 1;
}

sub fetchrow_arrayref { my ($self) = @_; return shift @{ $self->{rows} } }
sub fetchrow_hashref  { return undef }
sub fetchall_arrayref { my ($self) = @_; return $self->{rows} }
sub finish { return 1 }
sub errstr { return '' }

1;
