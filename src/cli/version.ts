/**
 * The version of package.json; a test keeps the two equal. Reading the file would cost each start.
 */
export const VERSION = '0.1.0';
