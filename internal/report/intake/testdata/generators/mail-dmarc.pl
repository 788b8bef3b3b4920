# Has Mail::DMARC make a report of the messages of standard input, whose columns are:
# address, count, disposition, dkim, spf, From domain, DKIM domain, selector, DKIM
# result, SPF domain, SPF result, reason.
use strict;
use warnings;
use Mail::DMARC::Policy;
use Mail::DMARC::Report::Aggregate;
use Mail::DMARC::Report::Aggregate::Record;

my $report = Mail::DMARC::Report::Aggregate->new;
my $meta = $report->metadata;
$meta->org_name('Perl & Co');
$meta->email('dmarc@perl.example');
$meta->extra_contact_info('https://perl.example/dmarc?a=b&c=d');
$meta->report_id('4711');
$meta->begin(1780272000);
$meta->end(1780358399);
$meta->error('a record <with> brackets');
$report->policy_published(Mail::DMARC::Policy->new('v=DMARC1; p=quarantine; sp=none; adkim=s; rua=mailto:dmarc@example.com'));
$report->policy_published->{domain} = 'example.com';
while (my $line = <STDIN>) {
	chomp $line;
	my ($ip, $count, $disposition, $dkim, $spf, $from, $d, $s, $dkim_result, $spf_domain, $spf_result, $reason) = split(/\t/, $line, -1);
	my %row = (source_ip => $ip, count => $count, policy_evaluated => { disposition => $disposition, dkim => $dkim, spf => $spf });
	$row{policy_evaluated}{reason} = [{ type => $reason, comment => "because of <$reason>" }] if $reason ne '';
	$report->record(Mail::DMARC::Report::Aggregate::Record->new(
		identifiers => { header_from => $from, envelope_from => $spf_domain },
		auth_results => {
			dkim => [{ domain => $d, selector => $s, result => $dkim_result }],
			spf => [{ domain => $spf_domain, scope => 'mfrom', result => $spf_result }],
		},
		row => \%row,
	));
}
print $report->as_xml;
