# There is no database: see DBI.pm.
package DBD::mysql;
1;
