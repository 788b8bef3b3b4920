package api

// Table has every operation.
func Table() []Operation {
	return []Operation{
		DaemonStatus(),
		MessagesExplain(),
		MessagesRecords(),
		MessagesCount(),
		PolicySimulate(),
		ReportsList(),
		ReportsShow(),
		ReportsSend(),
		ReportsRetry(),
		ReportsSuppress(),
		ReportsUnsuppress(),
		ReportsSuppressions(),
		ReportsState(),
		RecordLookup(),
		RecordVerify(),
		RecordGenerate(),
		AnalysisOverview(),
		AnalysisSources(),
		AnalysisDetails(),
		AnalysisExport(),
		AnalysisTrend(),
		AnalysisReports(),
		AnalysisReporters(),
		AnalysisPair(),
		AnalysisLabels(),
		AnalysisSetLabel(),
		AnalysisRaw(),
		AnalysisIngest(),
		AnalysisReprocess(),
		AnalysisFeeds(),
	}
}
